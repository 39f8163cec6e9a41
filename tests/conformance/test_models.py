"""Models of every shape, from the first run to a removal."""

from __future__ import annotations

from tests.conformance.helpers import Engine, Recorder, sync_of
from tests.models import HOSTILE, SHAPES, has


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
