from __future__ import annotations

import base64
import json
import math
import pickle
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.destinations.support import make_batch, make_context
from warehouse_cdc.destinations.encoding import JSON, TEXT, encode_column, json_objects
from warehouse_cdc.destinations.whole import Whole
from warehouse_cdc.mapping import times
from warehouse_cdc.mapping.values import tagged, to_list

TEXT_VALUES = st.text(st.characters(codec="utf-8"))
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT_VALUES,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT_VALUES, inner),
    max_leaves=10,
)


def encoded(values: list[Any], kind: pa.DataType | pa.Field) -> list[Any]:
    """Through JSON text and back: numbers as Decimal, or int."""
    field = kind if isinstance(kind, pa.Field) else pa.field("x", kind)
    invalid: dict[int, str] = {}
    texts = encode_column(pa.chunked_array([pa.array(values, field.type)]), field, JSON, invalid)
    assert not invalid

    def refuse(text: str) -> Any:
        raise AssertionError(f"{text} is not JSON")

    return [None if t is None else json.loads(t, parse_float=Decimal, parse_constant=refuse) for t in texts]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers(values: list[int | None]) -> None:
    assert encoded(values, pa.int64()) == values


@given(st.lists(st.none() | TEXT_VALUES))
def test_text(values: list[str | None]) -> None:
    assert encoded(values, pa.string()) == values


@given(st.lists(st.floats()))
def test_floats(values: list[float]) -> None:
    for value, read in zip(values, encoded(values, pa.float64()), strict=True):
        if math.isnan(value):
            assert read == "NaN"
        elif math.isinf(value):
            assert read == ("Infinity" if value > 0 else "-Infinity")
        else:
            assert float(read) == value and math.copysign(1, float(read)) == math.copysign(1, value)


@given(
    st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**25), max_value=10**25)
    )
)
def test_decimals(values: list[Decimal]) -> None:
    assert encoded(values, pa.decimal256(40, 10)) == values
    assert encoded([str(value) for value in values], tagged("x", "decimal")) == values


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("NaN", '"NaN"'),
        ("-Infinity", '"-Infinity"'),
        ("1E+20", "100000000000000000000"),
        ("1E-7", "0.0000001"),
        ("1E+100000", "1E+100000"),
        ("-0", "-0"),
        ("+.50", "0.50"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_decimal_texts(text: str, token: str) -> None:
    field = tagged("x", "decimal")
    assert encode_column(pa.chunked_array([[text]], pa.string()), field, JSON, {}) == [token]


@given(st.lists(st.none() | st.binary()))
def test_bytes(values: list[bytes | None]) -> None:
    read = encoded(values, pa.binary())
    assert [None if text is None else base64.b64decode(text, validate=True) for text in read] == values


@given(st.lists(st.datetimes(timezones=st.just(timezone.utc))))
def test_timestamps(values: list[datetime]) -> None:
    for unit, zone in (("us", "UTC"), ("us", "Asia/Kolkata"), ("us", None)):
        given_values = values if zone else [value.replace(tzinfo=None) for value in values]
        read = encoded(given_values, pa.timestamp(unit, zone))
        assert all(text.endswith("Z") == bool(zone) for text in read)
        assert [datetime.fromisoformat(text.rstrip("Z")) for text in read] == [
            value.replace(tzinfo=None) for value in values
        ]


@given(st.lists(st.dates()))
def test_dates(values: list[date]) -> None:
    assert [date.fromisoformat(text) for text in encoded(values, pa.date32())] == values


@given(st.lists(JSON_VALUES))
def test_json_columns(values: list[Any]) -> None:
    texts = [json.dumps(value, indent=1) for value in values]
    exact = [json.loads(text, parse_float=Decimal) for text in texts]
    assert encoded(texts, tagged("x", "json")) == exact
    lines = encode_column(pa.chunked_array([texts], pa.string()), tagged("x", "json"), JSON, {})
    assert not any("\n" in (line or "") for line in lines)


@given(
    st.lists(st.none() | st.lists(st.none() | st.fixed_dictionaries({"a": TEXT_VALUES, "b": st.floats()})))
)
def test_nested(values: list[Any]) -> None:
    kind = pa.list_(pa.struct([("a", pa.string()), ("b", pa.float64())]))
    for value, read in zip(values, encoded(values, kind), strict=True):
        assert (value is None) == (read is None)
        assert [None if it is None else it["a"] for it in value or []] == [
            None if it is None else it["a"] for it in read or []
        ]


def test_maps_and_dictionaries() -> None:
    assert encoded([[("a", 1), ("b", None)], []], pa.map_(pa.string(), pa.int32())) == [
        {"a": 1, "b": None},
        {},
    ]
    assert encoded([[(1, 2)]], pa.map_(pa.int32(), pa.int32())) == [[[1, 2]]]
    column = pa.chunked_array([pa.array(["x", None, "x"]).dictionary_encode()])
    assert encode_column(column, pa.field("x", column.type), JSON, {}) == ['"x"', None, '"x"']


def test_a_nested_value_out_of_range_costs_its_row() -> None:
    column = pa.chunked_array([pa.array([[0], [2**60], [1]], pa.list_(pa.timestamp("us")))])
    invalid: dict[int, str] = {}
    texts = encode_column(column, pa.field("x", column.type), JSON, invalid)
    assert list(invalid) == [1] and texts[0] == '["1970-01-01T00:00:00"]'


def test_plain_text_has_no_quotes() -> None:
    column = pa.chunked_array([pa.array([b"ab", None], pa.binary())])
    assert encode_column(column, pa.field("x", column.type), TEXT, {}) == ["YWI=", None]


# -- dates and times that Python can't hold --------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.timestamp("us"), 253402300800_000000, "+010000-01-01T00:00:00"),
        (pa.timestamp("s", "UTC"), -62135596801, "0000-12-31T23:59:59Z"),
        (pa.timestamp("s", "UTC"), -62167305600, "-000001-12-31T00:00:00Z"),
        (pa.timestamp("ns", "UTC"), 1, "1970-01-01T00:00:00.000000001Z"),
        (pa.timestamp("ns", "UTC"), 1000, datetime(1970, 1, 1, 0, 0, 0, 1, timezone.utc)),
        (pa.timestamp("us", "Asia/Tokyo"), 0, datetime(1970, 1, 1, tzinfo=timezone.utc)),
        (pa.timestamp("us"), 0, datetime(1970, 1, 1)),
        (pa.date32(), 2932897, "+010000-01-01"),
        (pa.date32(), -719528, "0000-01-01"),
        (pa.date32(), 0, date(1970, 1, 1)),
        (pa.date64(), 86_400_000, date(1970, 1, 2)),
        (pa.time64("ns"), 1, "00:00:00.000000001"),
        (pa.time64("us"), 86_400_000_000, "24:00:00"),
        (pa.duration("s"), 90, timedelta(seconds=90)),
        (pa.duration("ns"), -1, "PT-0.000000001S"),
    ],
)
def test_times_as_python(kind: pa.DataType, value: int, expected: Any) -> None:
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    column = pa.chunked_array([pa.array([value, None], width).view(kind)])
    (result, empty) = to_list(column, pa.field("x", kind))
    assert result == expected and empty is None
    if isinstance(expected, datetime):
        assert (result.tzinfo is None) == (kind.tz is None)


@given(st.integers(-(10**9), 10**9))
def test_days_in_any_year(days: int) -> None:
    text, later = times.iso_date(days), times.iso_date(days + 146_097)
    assert text[-6:] == later[-6:] and int(later[:-6]) - int(text[:-6]) == 400


INTEGERS = st.integers(-(2**63), 2**63 - 1)


@given(
    st.lists(
        st.tuples(
            *(st.none() | INTEGERS, st.none() | TEXT_VALUES, st.none() | st.booleans()),
            *(
                st.none() | st.integers(-(10**38) + 1, 10**38 - 1),
                st.none() | st.floats(allow_nan=False, allow_infinity=False),
            ),
        ),
        max_size=8,
    )
)
def test_rows_are_the_same_text_few_or_many(rows: list[tuple[Any, ...]]) -> None:
    fields = [
        *(pa.field("a%s", pa.int64()), pa.field('b"', pa.string()), pa.field("c", pa.bool_())),
        *(tagged("d", "integer"), pa.field("e", pa.float64())),
    ]
    columns = [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(fields)]
    table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    with pytest.MonkeyPatch.context() as patch:
        few = json_objects(table, {})
        patch.setattr("warehouse_cdc.destinations.encoding._COLUMNS_AT_ONCE", 0)
        assert json_objects(table, {}) == few
    names = [field.name for field in fields]
    assert [json.loads(text) for text in few] == [dict(zip(names, row, strict=True)) for row in rows]


def test_a_row_that_cannot_be_encoded_costs_only_itself_among_many() -> None:
    table = pa.table({"a": pa.array(["1", "nonsense"])}, schema=pa.schema([tagged("a", "json")]))
    invalid: dict[int, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warehouse_cdc.destinations.encoding._COLUMNS_AT_ONCE", 0)
        assert json_objects(table, invalid)[0] == '{"a":1}'
    assert set(invalid) == {1}


@given(
    st.lists(
        st.none() | st.sampled_from(["1", "nonsense", '{"a":[]}', '"é"', "NaN"]), min_size=1, max_size=12
    ),
    st.integers(1, 5),
)
def test_a_batch_is_the_same_alone_and_as_a_part_of_others(values: list[str | None], size: int) -> None:
    """What a row that can't be encoded, or can't be a Python object, costs is the same too."""
    schema = pa.schema([pa.field("n", pa.int64()), tagged("j", "json")])
    rows = list(enumerate(values))
    everything = make_batch(make_context(schema), rows)
    whole = Whole(everything.arrow)
    for start in range(0, len(rows), size):
        alone = make_batch(everything.context, rows[start : start + size])
        part = replace(alone, part_of=(whole, start, alone.arrow))
        seen: list[Any] = []
        for batch in (alone, part, part.take(range(len(part))), pickle.loads(pickle.dumps(part))):
            invalid: dict[int, str] = {}
            texts = batch.json(invalid)
            try:
                shown: Any = batch.rows
            except ValueError as error:
                shown = type(error)
            seen.append((texts, invalid, shown))
        assert seen[0] == seen[1] == seen[2]
