"""Statements that no test waits for: a cancelled run stops them, and so does the next run after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import test_promises
from tests.conformance.helpers import AUDIT, Child, Engine, Recorder, sync_of, until

COUNT = "SELECT count(*) AS {n} FROM numbers a, numbers b, numbers c WHERE MOD(a.i * b.i, 7) = MOD(c.i, 11)"
LEASE = {"lease_seconds": 12.0, "lease_margin": 1.0}

SLOW_CHANGELOG = """
        from warehouse_cdc.dialects import get_dialect
        kind = type(wcdc.connect(url)._connection)
        send_statement, table = kind.execute, values["table"]
        def slowly(self, sql, **how):
            if sql.startswith("INSERT INTO " + table):
                head, select = sql.split("\\n", 1)
                sql = f"{head} SELECT * FROM ({select}) x WHERE ({values['count']}) > 0"
            return send_statement(self, sql, **how)
        kind.execute = slowly
        wcdc.connect(url, lease_seconds=values["seconds"]).run(sync_of(note, batch_timeout=5))
"""
"""A run whose changelog takes longer to write than any test lasts."""


def make_numbers(engine: Engine) -> None:
    """More triples than any test can count."""
    engine.execute(f"CREATE TABLE numbers AS SELECT a.i * 200 + b.j AS i FROM {_two(engine)}")


def _two(engine: Engine) -> str:
    first, second = engine.series(0, 49), engine.series(1, 200)
    return f"(SELECT i FROM {first} r(i)) a, (SELECT i AS j FROM {second} r(i)) b"


def check_cancel(engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """D20, of a run that plans."""
    make_numbers(engine)
    of = {name: engine.dialect.quote(name) for name in ("id", "email", "ltv", "n")}
    model = "SELECT p.{id}, p.{email}, {n} AS {ltv} FROM people p, (" + COUNT + ") x"
    monkeypatch.setattr(test_promises, "endless", lambda _engine: model.format(**of))
    test_promises.test_d20_cancel_stops_the_statement_that_plans(engine, crm)


def check_killed(
    engine: Engine, crm: Recorder, folder: Path, running: Callable[[], list[Any]]
) -> tuple[str, list[Any]]:
    """The statement that a killed run left running is ended before its run is closed.

    Args:
        engine: The engine.
        crm: A destination.
        folder: For the child's files.
        running: Finds the statements that write the changelog, as they run.

    Returns:
        The closed run, and what was found before.
    """
    make_numbers(engine)
    engine.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')")
    child = Child(
        engine,
        folder / "sent",
        SLOW_CHANGELOG,
        table=engine.dialect.table(AUDIT, "sync_changelog"),
        count=COUNT.format(n="n"),
        seconds=LEASE["lease_seconds"],
    )
    until(running, 60)
    found = running()
    child.process.kill()
    child.killed()
    assert running(), "its statement outlives it"
    run = engine.connect(**LEASE).run(sync_of(crm, batch_timeout=5), wait=60)
    assert run.closed and not running()
    logged = [(row["sync_run_id"], row["row_id"], row["status"]) for row in engine.audit("sync_changelog")]
    assert sorted(logged) == [(run.closed, "1", "succeeded"), (run.closed, "2", "succeeded")]
    assert [row["status"] for row in engine.runs()] == ["succeeded", "succeeded"]
    assert crm.take() == set(), "all of it was delivered"
    return run.closed, found
