"""The equality matrix on every engine: one outcome (D1, D5, D6)."""

from __future__ import annotations

import json

import pytest

from tests.conformance.equality_matrix import KEYS, MATRIX, Case
from tests.conformance.helpers import Engine, PulledEngine, Recorder, counted, sync_of
from warehouse_cdc.compile import layout

_COLUMNS = ("one", "two", "three")


def test_the_matrix_is_one() -> None:
    assert len(MATRIX) >= 150
    assert len(MATRIX) == len(set(MATRIX))
    assert all(case.changed for case in MATRIX if (case.old is None) != (case.new is None))


def show(engine: Engine, cases: list[Case], *, after: bool) -> None:
    """Make the model: a row for each case and a column for each kind, NULL in the rows of the others."""
    spelling, literal = engine.spelling, engine.dialect.literal
    every = list(dict.fromkeys(case.kind for case in cases))
    kinds = [kind for kind in every if kind != "three texts"]
    columns = {kind: f"v{place}" for place, kind in enumerate(kinds)}
    nulls = {name: spelling.value(literal, kind, None) for kind, name in columns.items()}
    nulls |= {name: spelling.value(literal, "text", None) for name in _COLUMNS}
    parts = []
    for kind in every:
        rows = []
        for number, case in enumerate(cases):
            if case.kind != kind:
                continue
            value = case.new if after else case.old
            values = [value] if kind != "three texts" else json.loads(value or "[null, null, null]")
            plain = "text" if kind == "three texts" else kind
            rows.append([str(number), *(spelling.value(literal, plain, each) for each in values)])
        names = [columns[kind]] if kind in columns else list(_COLUMNS)
        chosen = [name if name in names else f"{null} AS {name}" for name, null in nulls.items()]
        parts.append(f"SELECT id, {', '.join(chosen)} FROM {engine.rows(['id', *names], rows)}")
    select = " UNION ALL ".join(parts)
    engine.execute(*(sql.format(name="people", select=select) for sql in spelling.make))


def check_both_ways(
    engine: Engine, crm: Recorder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by value, as after an upgrade, then by fingerprint, on the way back."""
    warehouse, sync = engine.connect(changelog=False, snapshot=False), sync_of(crm)
    encoding = layout.FINGERPRINT_ENCODING
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding + 1)
    show(engine, cases, after=False)
    assert warehouse.run(sync).status == "success"
    assert len(crm.take()) == len(cases)
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding)
    expected = {str(n) for n, case in enumerate(cases) if case.changed}
    for after in (True, False):
        show(engine, cases, after=after)
        assert warehouse.run(sync).status == "success"
        sent = {row_id for _operation, row_id in crm.take()}
        wrong = [(*cases[int(n)], "sent" if n in sent else "not sent") for n in sent ^ expected]
        assert not wrong, "by value" if after else "by fingerprint"


def test_d5_the_matrix_has_one_outcome(
    engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what the engine is known to decide the other way round, which must still be so."""
    engine.execute(*engine.spelling.before)
    differs = engine.spelling.differs
    assert differs.keys() <= {case[:3] for case in MATRIX}
    cases = [case for case in MATRIX if case.kind not in engine.spelling.absent]
    cases = [case._replace(changed=case.changed != (case[:3] in differs)) for case in cases]
    check_both_ways(engine, crm, cases, monkeypatch)


def test_what_an_engine_does_not_have_it_does_not_have(engine: Engine) -> None:
    """A kind that it learns must be taken off the list."""
    spelling = engine.spelling
    assert spelling.absent.keys() <= {case.kind for case in MATRIX}
    for kind in spelling.absent:
        value = next(case.old for case in MATRIX if case.kind == kind)
        with pytest.raises(Exception):  # noqa: B017
            engine.query(f"SELECT {spelling.value(engine.dialect.literal, kind, value)}")


def test_d1_the_canonical_text_of_keys(engine: Engine) -> None:
    """Alone, and as a part of a composite key."""
    if isinstance(engine, PulledEngine):
        pytest.skip("DuckDB makes the texts, of what it was given")
    spelling, dialect = engine.spelling, engine.dialect
    for kind in dict.fromkeys(kind for kind, _value, _text in KEYS if kind not in spelling.absent):
        found = [(value, text) for each, value, text in KEYS if each == kind]
        shown = engine.column_type(spelling.value(dialect.literal, kind, found[0][0]))
        expression, stored = dialect.stored("k", shown)
        single = dialect.row_id([dialect.canonical_text("s", stored)])
        composite = dialect.row_id(
            [dialect.canonical_text("s", stored), dialect.cast("'7'", dialect.text_type)]
        )
        rows = [[str(n), spelling.value(dialect.literal, kind, value)] for n, (value, _t) in enumerate(found)]
        got = engine.over(
            engine.rows(["n", "k"], rows),
            f"SELECT n, {single} AS single, {composite} AS composite FROM "
            f"(SELECT n, {expression} AS s FROM ROWS) t",
        )
        texts = [text for _value, text in found]
        assert [row[1] for row in sorted(got)] == texts, kind
        assert [row[2].replace("\\u000A", "\\n") for row in sorted(got)] == [
            json.dumps([text, "7"], ensure_ascii=False, separators=(",", ":")) for text in texts
        ], kind


def test_d5_text_keys_are_told_apart_byte_for_byte(engine: Engine, crm: Recorder) -> None:
    """Every text of the matrix is a key of its own, also when half of them leave."""
    literal, spell = engine.dialect.literal, engine.spelling.value
    pairs = [case for case in MATRIX if case.kind == "text" and case.old is not None and case.new is not None]
    texts = sorted({text for case in pairs for text in (case.old, case.new) if text is not None})
    half = {text for text in texts if text not in {case.new for case in pairs if case.changed}}

    def keep(kept: list[str]) -> None:
        rows = [[spell(literal, "text", text), str(texts.index(text))] for text in kept]
        select = f"SELECT k, n FROM {engine.rows(['k', 'n'], rows)}"
        engine.execute(*(sql.format(name="people", select=select) for sql in engine.spelling.make))

    warehouse, sync = engine.connect(changelog=False, snapshot=False), sync_of(crm, key="k")
    keep(texts)
    run = warehouse.run(sync)
    assert counted(run) == {"added": (len(texts), len(texts), len(texts), 0, 0)}
    assert crm.take() == {("added", text) for text in texts}
    keep(sorted(half))
    warehouse.run(sync)
    assert crm.take() == {("removed", text) for text in texts if text not in half}
    assert set(crm.held) == half
