"""Models of every shape, from the first run to a removal."""

from __future__ import annotations

from tests.conformance.helpers import Engine, Recorder, sync_of
from tests.models import HOSTILE, NESTED, SHAPES, has


def test_models_of_every_shape(engine: Engine, crm: Recorder) -> None:
    """Names of columns and fields that only quotes make names, CTEs, comments, set operations, orders."""
    engine.table("id INTEGER, email VARCHAR(20), ltv INTEGER", "(1, 'a', 5)", "(2, 'b', 6)", "(3, 'c', 7)")
    shapes = {
        name: make(engine.dialect, "people")
        for name, make in SHAPES.items()
        if has(engine.dialect.name, name)
    }
    warehouse, logging = (engine.connect(snapshot=False, changelog=log) for log in (False, True))
    syncs = {
        name: sync_of(
            crm,
            shape.sql,
            list(shape.key),
            id=name,
            mappings={f"to {column}": column for column in shape.columns},
        )
        for name, shape in shapes.items()
    }

    def runs(name: str) -> dict[tuple[str, str], int | None]:
        """(operation, id) of what a sync sends, to the number in the row."""
        run = (logging if name == "hostile_names" else warehouse).run(syncs[name])
        assert run.status == "success", name
        shape, found = shapes[name], {}
        for batch in crm.batches:
            for row in batch.rows:
                numbers = {value for field, value in row.items() if field not in (*shape.key, "to email")}
                assert set(row) == {*shape.key, *(f"to {column}" for column in shape.columns)}
                (found[batch.operation, str(row[shape.key[0]])],) = numbers
        crm.batches.clear()
        return found

    for name in syncs:
        assert runs(name) == {("added", "1"): 5, ("added", "2"): 6, ("added", "3"): 7}, name
        assert runs(name) == {}, name
    engine.execute("UPDATE people SET ltv = 9 WHERE id = 1", "DELETE FROM people WHERE id = 2")
    for name in syncs:
        assert runs(name) == {("changed", "1"): 9, ("removed", "2"): 6}, name
    logged = engine.audit("sync_changelog WHERE sync_id = 'hostile_names' AND op_type = 'changed'")
    hostile = shapes["hostile_names"]
    assert [row["fields"] for row in logged] == [
        {hostile.key[0]: 1, hostile.key[1]: "a"} | dict.fromkeys(hostile.columns, 9)
    ]
    assert len({*hostile.key, *hostile.columns}) == len(HOSTILE) or engine.name == "bigquery"


CHANGES = {
    "duckdb": {
        "stops": ("[{'a': 1, 'b': 'x'}, NULL]", "[{'a': 1, 'b': NULL}, NULL]"),
        "marks": ("MAP {'k': 1, 'l': NULL}", "MAP {'k': 1}"),
        "extra": ("""'{"z": [1, {"y": null}]}'""", """'{"z": [1, {}]}'"""),
    },
    "postgres": {
        "stops": ("""ARRAY['{"a": 1, "b": "x"}', NULL]::JSONB[]""", """ARRAY['{"a": 1}', NULL]::JSONB[]"""),
        "marks": ("'{{1, 2}, {3, NULL}}'", "'{{1, 2, 3, NULL}}'"),
        "extra": ("""'{"z": [1, {"y": null}]}'""", """'{"z": [1, {}]}'"""),
    },
}
"""A value and another one, by engine and column."""


def test_nested_values_compare_by_content(engine: Engine, crm: Recorder) -> None:
    columns, changes = NESTED[engine.name], CHANGES[engine.name]
    first = [value for value, _other in changes.values()]
    back = ", ".join(f"{name} = {value}" for name, value in zip(changes, first, strict=True))
    rows = [f"({number}, {', '.join(first)})" for number in range(len(changes) + 1)]
    engine.table(f"id INTEGER, {', '.join(f'{name} {kind}' for name, kind in columns.items())}", *rows)
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    assert len(crm.take()) == len(rows)
    for number, (name, (_value, other)) in enumerate(changes.items()):
        engine.execute(f"UPDATE people SET {name} = {other} WHERE id = {number}")
    warehouse.run(sync)
    assert crm.take() == {("changed", str(number)) for number in range(len(changes))}
    engine.execute(f"UPDATE people SET {back}")
    warehouse.run(sync)
    assert crm.take() == {("changed", str(number)) for number in range(len(changes))}
    engine.execute("UPDATE people SET stops = NULL WHERE id = 0", "DELETE FROM people WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == {("changed", "0"), ("removed", "1")}
