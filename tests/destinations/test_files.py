from __future__ import annotations

import csv
import errno
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.destinations.support import RUN, make_batch, make_context
from warehouse_cdc.destinations import Csv, JsonLines, Parquet
from warehouse_cdc.destinations.files import FileDestination
from warehouse_cdc.errors import ConfigError, DestinationError
from warehouse_cdc.mapping.values import tagged

SMALL = pa.schema([("id", pa.int64()), ("name", pa.string())])
FORMATS = [JsonLines, Csv, Parquet]
LATER = "01J9Z3M5T8Q2W4E6R8T0Y1U3I6"


def publish(destination: FileDestination, context: Any, *operations: tuple[str, list[Any]]) -> None:
    writer = destination.open(context)
    try:
        for operation, rows in operations:
            if rows:
                assert writer.write(make_batch(context, rows, operation)) == {}
            writer.publish(operation)
    finally:
        writer.close()


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


GOLDEN = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("text", pa.string()),
        pa.field("flag", pa.bool_()),
        pa.field("number", pa.decimal128(20, 2)),
        tagged("digits", "decimal"),
        pa.field("float", pa.float64()),
        pa.field("day", pa.date32()),
        pa.field("at", pa.timestamp("us", "Europe/Berlin")),
        pa.field("clock", pa.timestamp("ms")),
        pa.field("bytes", pa.binary()),
        tagged("json", "json"),
        pa.field("list", pa.list_(pa.int32())),
        pa.field("struct", pa.struct([("a", pa.string()), ("b", pa.decimal128(5, 1))])),
    ]
)
GOLDEN_ROWS: list[tuple[Any, ...]] = [
    (
        9007199254740993,
        'a "b", ü\n',
        True,
        Decimal("123456789012345678.90"),
        "1.000000000000000000000000000000001",
        0.1,
        19789,
        1709802306078900,
        1709802306000,
        b"\x00\xff",
        '{"b": 1.10,\n "a": [1, 2]}',
        [1, None],
        {"a": 'x"', "b": Decimal("1.0")},
    ),
    (2, "", False, Decimal("0.00"), "NaN", float("nan"), -719163, 0, None, b"", "null", [], None),
    (3, None, None, None, None, float("-inf"), None, None, None, None, None, None, None),
]


def test_json_lines_golden(tmp_path: Path) -> None:
    context = make_context(GOLDEN, mode="all")
    publish(JsonLines(tmp_path), context, ("added", GOLDEN_ROWS))
    assert (tmp_path / "customers.jsonl").read_bytes().decode() == (
        '{"id":9007199254740993,"text":"a \\"b\\", ü\\n","flag":true,"number":123456789012345678.90,'
        '"digits":1.000000000000000000000000000000001,"float":0.1,"day":"2024-03-07",'
        '"at":"2024-03-07T09:05:06.078900Z","clock":"2024-03-07T09:05:06","bytes":"AP8=",'
        '"json":{"b": 1.10,  "a": [1, 2]},"list":[1,null],"struct":{"a":"x\\"","b":1.0}}\n'
        '{"id":2,"text":"","flag":false,"number":0.00,"digits":"NaN","float":"NaN","day":"0000-12-31",'
        '"at":"1970-01-01T00:00:00Z","clock":null,"bytes":"","json":null,"list":[],"struct":null}\n'
        '{"id":3,"text":null,"flag":null,"number":null,"digits":null,"float":"-Infinity","day":null,'
        '"at":null,"clock":null,"bytes":null,"json":null,"list":null,"struct":null}\n'
    )


def test_csv_golden(tmp_path: Path) -> None:
    context = make_context(GOLDEN, mode="all")
    publish(Csv(tmp_path), context, ("added", GOLDEN_ROWS))
    assert (tmp_path / "customers.csv").read_bytes().decode() == (
        "id,text,flag,number,digits,float,day,at,clock,bytes,json,list,struct\r\n"
        '9007199254740993,"a ""b"", ü\n",true,123456789012345678.90,1.000000000000000000000000000000001,0.1,'
        '2024-03-07,2024-03-07T09:05:06.078900Z,2024-03-07T09:05:06,AP8=,"{""b"": 1.10,  ""a"": [1, 2]}",'
        '"[1,null]","{""a"":""x\\"""",""b"":1.0}"\r\n'
        '2,"",false,0.00,NaN,NaN,0000-12-31,1970-01-01T00:00:00Z,,"",null,[],\r\n'
        "3,,,,,-Infinity,,,,,,,\r\n"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t", "~"])
def test_csv_options(tmp_path: Path, delimiter: str) -> None:
    schema = pa.schema([("id", pa.int64()), (f"a{delimiter}b", pa.string())])
    rows = [(1, f"x{delimiter}y"), (2, 'say "hi"'), (3, "line\r\nbreak")]
    publish(Csv(tmp_path, delimiter=delimiter, bom=True), make_context(schema, mode="all"), ("added", rows))
    raw = (tmp_path / "customers.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfid")
    with (tmp_path / "customers.csv").open(encoding="utf-8-sig", newline="") as file:
        read = list(csv.reader(file, delimiter=delimiter))
    assert read == [["id", f"a{delimiter}b"], *([str(key), value] for key, value in rows)]


def test_csv_without_header(tmp_path: Path) -> None:
    publish(Csv(tmp_path, header=False), make_context(SMALL, mode="all"), ("added", [(1, None), (2, "")]))
    assert (tmp_path / "customers.csv").read_bytes() == b'1,\r\n2,""\r\n'


@pytest.mark.parametrize(
    "make",
    [
        lambda at: Csv(at, delimiter="x"),
        lambda at: Csv(at, delimiter=""),
        lambda at: Parquet(at, compression="zip"),
        lambda at: JsonLines(""),
        lambda at: JsonLines(5),
        lambda at: JsonLines(at, "{nope}"),
    ],
)
def test_options_that_are_refused(tmp_path: Path, make: Any) -> None:
    with pytest.raises(ConfigError):
        make(tmp_path)


def test_parquet_keeps_types(tmp_path: Path) -> None:
    publish(Parquet(tmp_path), make_context(GOLDEN, mode="all"), ("added", GOLDEN_ROWS[:1]), ("added", []))
    table = pq.read_table(tmp_path / "customers.parquet")
    assert table.schema.types == GOLDEN.types
    assert table.column("digits")[0].as_py() == "1.000000000000000000000000000000001"
    assert table.column("number")[0].as_py() == Decimal("123456789012345678.90")
    assert table.schema.field("digits").metadata[b"wcdc.kind"] == b"decimal"


def test_parquet_gathers_batches_into_row_groups(tmp_path: Path) -> None:
    context = make_context(SMALL, mode="all")
    writer = Parquet(tmp_path).open(context)
    for start in range(0, 300_000, 50_000):
        writer.write(make_batch(context, [(start + at, "x") for at in range(50_000)]))
    writer.publish("added")
    writer.close()
    file = pq.ParquetFile(tmp_path / "customers.parquet")
    assert file.metadata.num_rows == 300_000 and file.metadata.num_row_groups < 6
    assert file.read().column("id").to_pylist() == list(range(300_000))


def test_parquet_refuses_types_it_cannot_hold(tmp_path: Path) -> None:
    union = pa.sparse_union([pa.field("a", pa.int32())])
    context = make_context(pa.schema([("id", pa.int64()), ("u", union)]), mode="all")
    with pytest.raises(ConfigError, match="'u'"):
        Parquet(tmp_path).check(context)


def test_intervals_are_iso_text(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("i", pa.month_day_nano_interval()), ("d", pa.duration("ms"))])
    context = make_context(schema, mode="all")
    rows = [(1, pa.MonthDayNano([1, 2, 3_500_000_000]), -1500), (2, None, 90_000)]
    publish(Parquet(tmp_path), context, ("added", rows))
    publish(JsonLines(tmp_path), context, ("added", rows))
    assert pq.read_table(tmp_path / "customers.parquet").column("i").to_pylist() == ["P1M2DT3.500000S", None]
    first, second = map(json.loads, (tmp_path / "customers.jsonl").read_text().splitlines())
    assert first == {"id": 1, "i": "P1M2DT3.500000S", "d": "PT-1.500000S"}
    assert second == {"id": 2, "i": None, "d": "PT90S"}


# -- publication ----------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_is_visible_before_it_is_published(tmp_path: Path, format_: type[FileDestination]) -> None:
    context = make_context(SMALL, mode="snapshot")
    destination = format_(tmp_path / "new" / "folder")
    destination.check(context)
    assert not (tmp_path / "new").exists()
    writer = destination.open(context)
    writer.write(make_batch(context, [(1, "a")]))
    folder = tmp_path / "new" / "folder"
    assert all(name.startswith(".") for name in names(folder)) and len(names(folder)) == 1
    assert destination.published(context, "added") is False
    writer.publish("added")
    final = f"customers_{RUN}_added{destination.extension}"
    assert names(folder) == [final]
    assert destination.published(context, "added") is True
    writer.publish("added")  # a repeat changes nothing
    writer.close()
    assert names(folder) == [final] and (folder / final).stat().st_size > 0


@pytest.mark.parametrize("format_", FORMATS)
def test_close_discards_what_was_not_published(tmp_path: Path, format_: type[FileDestination]) -> None:
    context = make_context(SMALL, mode="diff")
    writer = format_(tmp_path).open(context)
    writer.write(make_batch(context, [(1, "a")], "removed"))
    writer.publish("removed")
    writer.write(make_batch(context, [(1, "a")], "changed"))
    writer.close()
    assert [name.rsplit("_", 1)[1].split(".")[0] for name in names(tmp_path)] == ["removed"]


@pytest.mark.parametrize("format_", FORMATS)
def test_leftovers_of_the_same_sync_are_removed(tmp_path: Path, format_: type[FileDestination]) -> None:
    old = make_context(SMALL, mode="snapshot")
    other = make_context(SMALL, mode="snapshot", sync_id="customers2")
    for context in (old, other):
        format_(tmp_path).open(context).write(make_batch(context, [(1, "a")]))  # and the process dies
    (tmp_path / ".wcdc~note").write_text("mine")
    assert len(names(tmp_path)) == 3
    new = make_context(SMALL, mode="snapshot", run_id=LATER)
    format_(tmp_path).open(new).close()
    left = names(tmp_path)
    assert len(left) == 2 and any("customers2" in name for name in left)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_paused_run_cannot_publish_after_its_successor_started(
    tmp_path: Path, format_: type[FileDestination]
) -> None:
    context = make_context(SMALL, mode="all")
    writer = format_(tmp_path).open(context)
    writer.write(make_batch(context, [(1, "a")]))
    publish(format_(tmp_path), make_context(SMALL, mode="all", run_id=LATER), ("added", [(2, "b")]))
    before = next(tmp_path.glob("customers.*")).read_bytes()
    with pytest.raises(DestinationError):
        writer.publish("added")
    writer.close()
    assert next(tmp_path.glob("customers.*")).read_bytes() == before


@pytest.mark.parametrize("format_", FORMATS)
def test_empty_operations(tmp_path: Path, format_: type[FileDestination]) -> None:
    context = make_context(SMALL, mode="diff")
    operations = [("removed", []), ("changed", []), ("added", [(1, "a")])]
    publish(format_(tmp_path / "all"), context, *operations)
    publish(format_(tmp_path / "some", skip_empty=True), context, *operations)
    assert len(names(tmp_path / "all")) == 3 and len(names(tmp_path / "some")) == 1
    assert format_(tmp_path / "some", skip_empty=True).published(context, "removed") is None
    empty = next((tmp_path / "all").glob("*_removed*"))
    if format_ is Parquet:
        assert pq.read_table(empty).schema.names == ["id", "name"]
    else:
        assert empty.read_bytes() == (b"id,name\r\n" if format_ is Csv else b"")


def test_mode_all_replaces_the_file(tmp_path: Path) -> None:
    destination = JsonLines(tmp_path)
    for run, value in ((RUN, "a"), (LATER, "b")):
        context = make_context(SMALL, mode="all", run_id=run)
        assert destination.published(context, "added") is None
        publish(destination, context, ("added", [(1, value)]))
    assert names(tmp_path) == ["customers.jsonl"]
    assert (tmp_path / "customers.jsonl").read_text() == '{"id":1,"name":"b"}\n'


def test_folders_in_the_name(tmp_path: Path) -> None:
    destination = JsonLines(tmp_path, "{YYYY}/{MM}/{x}.jsonl")
    context = make_context(SMALL, mode="insert")
    publish(destination, context, ("added", [(1, "a")]))
    assert (tmp_path / "2024/03/1709802306078.jsonl").is_file()
    assert destination.published(context, "added") is True
    assert names(tmp_path) == ["2024"]


@pytest.mark.parametrize("sync_id", ["../../etc/passwd", "a/b", "..", "x" * 200, "ü\n~", "*?", "CON"])
def test_hostile_ids(tmp_path: Path, sync_id: str) -> None:
    folder = tmp_path / "in" / "here"
    context = make_context(SMALL, mode="all", sync_id=sync_id)
    destination = JsonLines(folder)
    destination.check(context)
    publish(destination, context, ("added", [(1, "a")]))
    assert len(names(folder)) == 1 and names(tmp_path) == ["in"]


def test_checks(tmp_path: Path) -> None:
    context = make_context(SMALL, mode="all")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="not a directory"):
        JsonLines(tmp_path / "file" / "below").check(context)
    (tmp_path / "customers.jsonl").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        JsonLines(tmp_path).check(context)
    with pytest.raises(ConfigError, match="255"):
        JsonLines(tmp_path, "{sync.id}" * 4).check(make_context(SMALL, mode="all", sync_id="x" * 100))


# -- trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
def test_a_full_disk_publishes_nothing(
    tmp_path: Path, format_: type[FileDestination], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(SMALL, mode="all")
    writer = format_(tmp_path).open(context)
    writer.write(make_batch(context, [(1, "a")]))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DestinationError, match="No space left") as caught:
        writer.publish("added")
    assert not caught.value.retryable and not caught.value.outcome_unknown and caught.value.hint
    monkeypatch.undo()
    with pytest.raises(DestinationError):
        writer.publish("added")
    writer.close()
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("format_", [JsonLines, Csv])
def test_a_full_disk_while_writing(tmp_path: Path, format_: type[FileDestination]) -> None:
    context = make_context(SMALL, mode="all")
    writer = format_(tmp_path).open(context)
    writer.write(make_batch(context, [(1, "a")]))
    unit: Any = writer._units["added"]  # type: ignore[attr-defined]
    unit._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(DestinationError, match="No space left") as caught:
        writer.write(make_batch(context, [(2, "b")]))
    assert not caught.value.retryable and not caught.value.outcome_unknown
    with pytest.raises(DestinationError):
        writer.publish("added")
    writer.close()
    assert names(tmp_path) == []


def test_bad_values_cost_only_their_rows(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("id", pa.int64()), tagged("j", "json"), tagged("d", "decimal")])
    context = make_context(schema, mode="all")
    writer = JsonLines(tmp_path).open(context)
    outcomes = writer.write(
        make_batch(context, [(1, "{", "1"), (2, "[NaN]", "1"), (3, "{}", "x"), (4, "[1e400]", "1E+5")])
    )
    assert {at: outcome.status for at, outcome in outcomes.items()} == dict.fromkeys((0, 1, 2), "rejected")
    assert "'j'" in outcomes[0].reason and "'d'" in outcomes[2].reason
    writer.publish("added")
    writer.close()
    assert (tmp_path / "customers.jsonl").read_text() == '{"id":4,"j":[1e400],"d":100000}\n'


def test_a_removed_row_may_have_an_earlier_type(tmp_path: Path) -> None:
    context = make_context(pa.schema([("id", pa.int64()), ("n", pa.int64())]), mode="diff")
    earlier = make_context(pa.schema([("id", pa.int64()), ("n", pa.string())]), mode="diff")
    batch = make_batch(earlier, [(1, "12"), (2, "twelve")], "removed")
    writer = Parquet(tmp_path).open(context)
    assert writer.write(batch) == {}
    writer.publish("removed")
    writer.close()
    expected = [{"id": 1, "n": "12"}, {"id": 2, "n": "twelve"}]
    assert pq.read_table(next(tmp_path.iterdir())).to_pylist() == expected
    writer = JsonLines(tmp_path).open(context)
    assert writer.write(batch) == {}
    writer.close()
