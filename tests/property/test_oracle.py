"""The engine against the oracle: hypothesis drives both, and they must agree after every step."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import duckdb
import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, PLANNER
from tests.conformance.on_servers import ON_SERVERS
from tests.property.oracle import Held, Plan, Setup, counts, plan, remembered, settle, snapshot
from tests.stand_ins import connect_without_transactions
from warehouse_cdc.destinations import rejected, retryable, unknown
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.ledger import ledger_of
from warehouse_cdc.engine.transitions import Step
from warehouse_cdc.plan.names import in_ledger, owned
from warehouse_cdc.plan.statements import Schemas, Statements

KEYS = st.sampled_from([None, 1, 2, 3, 4, 5, 6])
EMAILS = st.sampled_from([None, "", "a", "A", "a ", "b|c", "é"])
SCORES = st.sampled_from([None, 0, 1, -7])
FAULTS = st.sampled_from(["reject", "retryable", "applied", "lost"])
CRASHES = [
    (step, moment, nth)
    for step in Step
    for moment in ("before", "after")
    for nth in ((1, 2) if step in (Step.SEND, Step.CHECKPOINT, Step.READ) else (1,))
]
FIELDS = [("email", "score"), ("email",), ("score",)]
IDS = itertools.count(1)


class Killed(BaseException):
    """Stands for the death of the process: nothing catches it."""


class Machine(RuleBasedStateMachine):
    """One sync, its model and its destination."""

    connection: ClassVar[Any]
    connect: Any = staticmethod(wcdc.connect)
    schemas: ClassVar[Schemas]

    def execute(self, sql: str) -> None:
        raise NotImplementedError

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    @initialize(compaction=st.sampled_from([1.0, 5.0, 25.0]))
    def start(self, compaction: float) -> None:
        self.number = next(IDS)
        self.table = f"model_{self.number}"
        self.execute(f"CREATE TABLE {self.table} (id INTEGER, email VARCHAR(20), score INTEGER)")
        self.setup = Setup()
        self.rows: list[dict[str, Any]] = []
        self.read: list[dict[str, Any]] = []
        self.state: dict[str, Held] = {}
        self.version: str | None = None
        """Of the last plan."""
        self.destination: dict[str, dict[str, Any]] = {}
        self.doubtful: set[str] = set()
        self.faults: dict[str, str] = {}
        self.sent: list[tuple[str, str, str, dict[str, Any]]] = []
        self.outcomes: dict[str, str] = {}
        self.open: tuple[Plan, str] | None = None
        self.crash: tuple[Step, str, int] | None = None
        self.seen: dict[tuple[Step, str], int] = {}
        self.runs = 0
        self.last: tuple[Plan, dict[str, str], str] | None = None
        self._finished: set[str] = set()
        self.warehouse = self.connect(
            self.connection,
            planner_schema=self.schemas.planner,
            audit_schema=self.schemas.audit,
            compaction=compaction,
        )

    # -- the world changes ------------------------------------------------------------------------

    @rule(key=KEYS, email=EMAILS, score=SCORES)
    def put(self, key: int | None, email: str | None, score: int | None) -> None:
        self.rows = [row for row in self.rows if row["id"] != key]
        self.rows.append({"id": key, "email": email, "score": score})

    @rule(key=KEYS, email=EMAILS, score=SCORES)
    def copy(self, key: int | None, email: str | None, score: int | None) -> None:
        self.rows.append({"id": key, "email": email, "score": score})

    @rule(key=KEYS, instead=st.booleans())
    def bring_back(self, key: int | None, instead: bool) -> None:
        """A row as an earlier run read it, in place of the present one or beside it."""
        former = [row for row in self.read if row["id"] == key]
        if instead:
            self.drop(key)
        self.rows.extend(former[:1])

    @rule(key=KEYS)
    def drop(self, key: int | None) -> None:
        self.rows = [row for row in self.rows if row["id"] != key]

    @rule(key=st.integers(1, 6), fault=FAULTS)
    def break_row(self, key: int, fault: str) -> None:
        self.faults[str(key)] = fault

    @rule()
    def mend_rows(self) -> None:
        self.faults.clear()

    @rule(mode=st.sampled_from(["upsert", "update", "insert"]), fields=st.sampled_from(FIELDS))
    def configure(self, mode: str, fields: tuple[str, ...]) -> None:
        on_removed = "nothing" if mode == "insert" else "delete"
        self.setup = Setup(mode, on_removed, fields, self.setup.on_duplicate)

    @rule(
        on_removed=st.sampled_from(["nothing", "clear", "delete"]),
        on_duplicate=st.sampled_from(["reject", "keep_one"]),
    )
    def configure_removal(self, on_removed: str, on_duplicate: str) -> None:
        if self.setup.mode == "insert":
            on_removed = "nothing"
        self.setup = Setup(self.setup.mode, on_removed, self.setup.fields, on_duplicate)

    # -- runs -------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["run"] * 6 + ["resync", "reset"]))
    def sync(self, kind: str) -> None:
        self.go(kind, None)

    @rule(kind=st.sampled_from(["run"] * 4 + ["resync", "reset"]), crash=st.sampled_from(CRASHES))
    def sync_and_die(self, kind: str, crash: tuple[Step, str, int]) -> None:
        self.go(kind, crash)

    @precondition(lambda self: self.runs > 0)
    @rule()
    def settle_down(self) -> None:
        """Once the last fault is gone, one run brings the destination to what the mode promises."""
        self.faults.clear()
        unique = [row for row in self.rows if row["id"] is not None]
        kept: dict[int, dict[str, Any]] = {}
        for row in unique:
            kept.setdefault(row["id"], row)
        self.rows = list(kept.values())
        self.go("run", None)
        wanted = {str(row["id"]): {name: row[name] for name in self.setup.fields} for row in self.rows}
        if self.setup.mode != "insert":
            for row_id, values in wanted.items():
                if row_id not in self.doubtful:
                    shown = {name: self.destination[row_id].get(name) for name in self.setup.fields}
                    assert shown == values, row_id
        if self.setup.on_removed == "delete":
            assert set(self.destination) <= set(wanted) | self.doubtful
        before = len(self.sent)
        self.go("run", None)
        assert len(self.sent) == before, "a run without a change sends nothing"

    def go(self, kind: str, crash: tuple[Step, str, int] | None) -> None:
        self.runs += 1
        self.last = None
        self.read += [row for row in self.rows if row not in self.read]
        self.load()
        self.crash, self.seen, self.outcomes = crash, {}, {}
        first_sent = len(self.sent)
        options: dict[str, Any] = {"observer": self.observe, "allow_empty": True}
        call = {
            "run": self.warehouse.run,
            "resync": self.warehouse.full_resync,
            "reset": self.warehouse.reset_cdc,
        }
        if kind == "run":
            options["allow_removed"] = True
        try:
            run = call[kind](self.declared(), **options)
        except Killed:
            run = None
        self.crash = None
        self.follow(kind, run, first_sent)
        self.expire()
        self.tables_do_not_leak()
        if self.last is not None and self.open is None:
            self.audit_adds_up(*self.last)

    def declared(self) -> wcdc.Sync:
        return wcdc.Sync(
            id=f"oracle {self.number}",
            model=wcdc.Model("rows", sql=f"SELECT * FROM {self.table}", primary_key="id"),
            destination=self.send,
            mode=self.setup.mode,
            on_removed=self.setup.on_removed,
            mappings={f"to_{name}": name for name in self.setup.fields},
            on_duplicate=self.setup.on_duplicate,
            chunk_rows=2,
            batch_rows=1,
            max_attempts=2,
            retry_wait=0,
            retry_wait_max=0,
        )

    def load(self) -> None:
        self.execute(f"DELETE FROM {self.table}")
        for row in self.rows:
            email = "NULL" if row["email"] is None else f"'{row['email']}'"
            values = (row["id"], row["score"])
            number = ["NULL" if value is None else str(value) for value in values]
            self.execute(f"INSERT INTO {self.table} VALUES ({number[0]}, {email}, {number[1]})")

    def observe(self, step: Step, moment: str) -> None:
        """Die where the test says so."""
        if self.crash is not None and self.crash[:2] == (step, moment):
            self.seen[step, moment] = self.seen.get((step, moment), 0) + 1
            if self.seen[step, moment] == self.crash[2]:
                raise Killed

    def send(self, batch: wcdc.destinations.Batch) -> dict[str, Any]:
        """The destination: applies what it is sent, unless a row is broken."""
        answers: dict[str, Any] = {}
        for row_id, row, key in zip(batch.row_ids, batch.rows, batch.idempotency_keys, strict=True):
            fault = self.faults.get(row_id)
            self.sent.append((batch.operation, row_id, key, row))
            if fault in (None, "applied"):
                self.apply(batch, row_id, row)
            known = {None: "succeeded", "reject": "failed", "retryable": "failed"}
            self.outcomes[row_id] = known.get(fault, "unknown")
            if fault is not None:
                answer = {"reject": rejected, "retryable": retryable}.get(fault, unknown)
                answers[row_id] = answer("broken")
        return answers

    def apply(self, batch: wcdc.destinations.Batch, row_id: str, row: dict[str, Any]) -> None:
        values = {name.removeprefix("to_"): value for name, value in row.items() if name != "id"}
        self.doubtful.discard(row_id)
        if batch.operation != "removed":
            self.destination.setdefault(row_id, {}).update(values)
        elif batch.context.on_removed == "clear":
            if row_id in self.destination:
                self.destination[row_id].update(dict.fromkeys(values))
        else:
            self.destination.pop(row_id, None)

    # -- the oracle follows -----------------------------------------------------------------------

    def follow(self, kind: str, run: wcdc.Run | None, first_sent: int) -> None:
        """Close what was open, plan, and compare with what the engine did."""
        statements = Statements(self.dialect(), self.schemas, f"oracle {self.number}")
        history = ledger_of(self.warehouse._connection, statements).look()
        done = {generation.run_id: generation for generation in history.generations}
        if self.open is not None:
            made, run_id = self.open
            generation = done.get(run_id)
            if generation is None or generation.delivered:
                self.close(made, run_id)
        last = history.last
        if self.open is not None or last is None or last.run_id in self._finished:
            return  # it died before it had done anything durable
        if last.plan is None:
            assert self.sent[first_sent:] == []
            return
        state = remembered(self.state, self.version, self.setup)
        made = plan(self.rows, state, self.setup, last.run_id, kind)
        self.check_sent(made, first_sent)
        if last.delivered:
            self.finish(made, last.run_id, self.outcomes)
            if run is not None:
                self.check_run(made, run)
        else:
            self.open = (made, last.run_id)
            self.pending = self.interrupted_outcomes(made, last)

    def interrupted_outcomes(self, made: Plan, generation: journal.Generation) -> dict[str, str]:
        """The chunks that were checkpointed are what they are; the next is unknown; the rest is aborted."""
        record = generation.plan
        assert record is not None
        table = f"{self.schemas.planner}.{record.plan_table}"
        planned = self.fetch(f"SELECT row_id, op, bucket FROM {table}") if record.plan_table else []
        buckets = {row_id: (op, bucket) for row_id, op, bucket in planned}
        outcomes = {}
        for row_id, operation in made.operations.items():
            op, bucket = buckets[row_id]
            assert op == operation.kind
            if op == "removed" and made.auto_removed:
                continue
            place = next(
                i for i, c in enumerate(record.chunks) if c.operation == op and c.low <= bucket <= c.high
            )
            delivered = generation.progress.delivered
            if place < delivered:
                outcomes[row_id] = self.outcomes[row_id]
            else:
                outcomes[row_id] = "unknown" if place == delivered else "aborted"
        return outcomes

    def close(self, made: Plan, run_id: str) -> None:
        self.open = None
        self.finish(made, run_id, self.pending)

    def finish(self, made: Plan, run_id: str, outcomes: dict[str, str]) -> None:
        for row_id, operation in made.operations.items():
            if not (operation.kind == "removed" and made.auto_removed):
                outcomes.setdefault(row_id, "aborted")
        self.state = settle(made, outcomes)
        self.version = made.version
        if made.forgotten:
            self.doubtful |= made.forgotten
        if made.auto_removed or made.clears:
            self.doubtful |= set(self.destination) - set(self.state)
        for row_id in made.quiet:
            if row_id not in made.before:
                self.doubtful.add(row_id)  # taken as delivered, by a reset
        self.doubtful |= made.forgotten
        self._finished = self._finished | {run_id}
        self.last = (made, outcomes, run_id)

    def check_sent(self, made: Plan, first_sent: int) -> None:
        """Nothing is sent without cause, each in order and under its key (D14, D18)."""
        order = {"removed": 0, "changed": 1, "added": 2}
        kinds = [order[kind] for kind, *_rest in self.sent[first_sent:]]
        assert kinds == sorted(kinds)
        for kind, row_id, key, row in self.sent[first_sent:]:
            operation = made.operations.get(row_id)
            assert operation is not None and operation.kind == kind, (kind, row_id)
            assert not (kind == "removed" and made.auto_removed)
            values = operation.new if operation.new is not None else operation.held.values
            shown = {name.removeprefix("to_"): value for name, value in row.items()}
            assert shown == {name: values.get(name) for name in shown}
            expected = wcdc.destinations.base.idempotency_key(
                f"oracle {self.number}", row_id, kind, operation.key_run
            )
            assert key == expected, (kind, row_id)

    def check_run(self, made: Plan, run: wcdc.Run) -> None:
        for kind, numbers in counts(made, self.outcomes).items():
            got = run.counts[kind]
            assert (got.planned, got.attempted, got.succeeded, got.failed) == numbers, kind
            assert got.planned == got.attempted + got.aborted

    def audit_adds_up(self, made: Plan, outcomes: dict[str, str], run_id: str) -> None:
        """D22 to D25, for a run that ended."""
        where = f"sync_id = 'oracle {self.number}'"
        audit = self.schemas.audit
        rows = self.fetch(
            "SELECT num_planned_add, num_attempted_add, num_succeeded_add, num_failed_add, "
            "num_planned_change, num_attempted_change, num_succeeded_change, num_failed_change, "
            "num_planned_remove, num_attempted_remove, num_succeeded_remove, num_failed_remove "
            f"FROM {audit}.sync_runs WHERE {where} AND sync_run_id = '{run_id}'"
        )
        if not rows:
            return  # it died after delivery and before this: the next run closes it
        expected = counts(made, outcomes)
        assert len(rows) == 1
        assert rows[0] == (*expected["added"], *expected["changed"], *expected["removed"])
        logged = self.fetch(
            f"SELECT op_type, row_id, status FROM {audit}.sync_changelog "
            f"WHERE {where} AND sync_run_id = '{run_id}'"
        )
        assert len(logged) == len({row_id for _op, row_id, _status in logged})
        if made.counted and (made.operations or made.duplicates):
            for kind, (planned, attempted, succeeded, failed) in expected.items():
                statuses = [status for op, _row_id, status in logged if op == kind]
                if statuses or planned:
                    assert len(statuses) == planned
                    assert statuses.count("succeeded") == succeeded
                    assert statuses.count("failed") == failed
                    assert statuses.count("aborted") == planned - attempted
        shown = {
            row_id: (op, status, json.loads(fields) if isinstance(fields, str) else fields)
            for row_id, op, status, fields in self.fetch(
                f"SELECT row_id, op_type, status, fields FROM {audit}.sync_snapshot WHERE {where}"
            )
        }
        wanted = snapshot(made, outcomes)
        assert {row_id: found[:2] for row_id, found in shown.items()} == wanted
        for row_id, (_op, _status, fields) in shown.items():
            operation = made.operations.get(row_id)
            values = made.quiet.get(row_id) or made.duplicate_values.get(row_id)
            if operation is not None:
                values = operation.new or operation.held.values
            assert fields == {name: values.get(name) for name in fields}, row_id

    def tables_do_not_leak(self) -> None:
        """The full plan's pair and the two newest, also in the middle of a run that died."""
        tables = {name for _schema, name in self.warehouse._connection.tables(self.schemas.planner)}
        mine = owned(f"oracle {self.number}", tables)
        assert sum(name.endswith("_rejections") for name in mine) <= 3
        assert sum(name.endswith(("_plan", "_staged")) for name in mine) <= 4

    def dialect(self) -> Any:
        return self.warehouse._connection.dialect

    def expire(self) -> None:
        """The dead process's lease runs out."""
        tables = {name for _schema, name in self.warehouse._connection.tables(self.schemas.planner)}
        for name in in_ledger(f"oracle {self.number}", tables):
            if name.endswith(("_claim", "_beats")):
                self.execute(f"UPDATE {self.schemas.planner}.{name} SET recorded_at = TIMESTAMP '1970-01-01'")
        if (self.schemas.planner, "wcdc_leases") not in self.warehouse._connection.tables(
            self.schemas.planner
        ):
            return
        self.execute(
            f"UPDATE {self.schemas.planner}.wcdc_leases SET owner = 'dead', "
            f"expires_at = TIMESTAMP '1970-01-01' WHERE sync_id = 'oracle {self.number}'"
        )

    def teardown(self) -> None:
        if getattr(self, "warehouse", None) is not None:
            self.warehouse.close()


@pytest.fixture
def duck() -> Iterator[Any]:
    connection = duckdb.connect(":memory:")
    connection.execute("CREATE SCHEMA planner; CREATE SCHEMA audit")
    yield connection
    connection.close()


@contextlib.contextmanager
def empty_schemas(url: str) -> Iterator[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS oracle_planner CASCADE")
        connection.execute("DROP SCHEMA IF EXISTS oracle_audit CASCADE")
        connection.execute("CREATE SCHEMA oracle_planner")
        connection.execute("CREATE SCHEMA oracle_audit")
        yield connection


@pytest.fixture
def post(postgres_url: str) -> Iterator[Any]:
    with empty_schemas(postgres_url) as connection:
        yield connection


EXPLORE = int(os.environ.get("WCDC_EXPLORE", "0"))
"""So many histories at random; without it, always the same 20, so that a change can be judged by them."""
STEPS = settings(
    max_examples=EXPLORE or 20,
    derandomize=not EXPLORE,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def test_duckdb_agrees_with_the_oracle(duck: Any) -> None:
    class OnDuckDB(Machine):
        connection = duck
        schemas = Schemas("planner", "audit")

        def execute(self, sql: str) -> None:
            duck.execute(sql)

        def fetch(self, sql: str) -> list[tuple[Any, ...]]:
            return duck.execute(sql).fetchall()

    run_state_machine_as_test(OnDuckDB, settings=STEPS)


def test_postgres_agrees_with_the_oracle(post: Any) -> None:
    check_postgres(post, STEPS)


@pytest.mark.postgres_old
def test_an_old_postgres_agrees_with_the_oracle(server_of: Callable[[str], str]) -> None:
    with empty_schemas(server_of("postgres_old")) as old:
        check_postgres(old, settings(STEPS, max_examples=EXPLORE or 6))


def check_postgres(post: Any, steps: settings) -> None:
    class OnPostgres(Machine):
        connection = post
        schemas = Schemas("oracle_planner", "oracle_audit")

        def execute(self, sql: str) -> None:
            post.execute(sql)

        def fetch(self, sql: str) -> list[tuple[Any, ...]]:
            return post.execute(sql).fetchall()

    run_state_machine_as_test(OnPostgres, settings=steps)


def test_runs_that_are_recorded_in_tables_agree_with_the_oracle(post: Any, postgres_url: str) -> None:
    class InTables(Machine):
        connection = postgres_url
        connect = staticmethod(connect_without_transactions)
        schemas = Schemas("oracle_planner", "oracle_audit")

        def execute(self, sql: str) -> None:
            post.execute(sql)

        def fetch(self, sql: str) -> list[tuple[Any, ...]]:
            return post.execute(sql).fetchall()

    run_state_machine_as_test(InTables, settings=STEPS)


SERVERS = {"bigquery": (4, 50), "snowflake": (8, 50)}
"""An engine whose statements take their time to so many histories, and steps of each."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in SERVERS])
def test_servers_agree_with_the_oracle(name: str, server_of: Callable[[str], str]) -> None:
    examples, steps = SERVERS[name]
    with ON_SERVERS[name].opened(server_of(name)) as engine:

        class OnServer(Machine):
            connection = engine.url
            schemas = Schemas(PLANNER, AUDIT)

            def execute(self, sql: str) -> None:
                engine.execute(sql)

            def fetch(self, sql: str) -> list[tuple[Any, ...]]:
                found: list[tuple[Any, ...]] = engine.query(sql)
                return found

        run_state_machine_as_test(
            OnServer, settings=settings(STEPS, max_examples=EXPLORE or examples, stateful_step_count=steps)
        )


@pytest.mark.tsql
def test_t_sql_agrees_with_the_oracle() -> None:
    from tests.conformance.tsql_engine import TSQLEngine

    engine = TSQLEngine()
    schemas_of = Schemas("oracle_planner", "oracle_audit")
    engine.execute("CREATE SCHEMA oracle_planner", "CREATE SCHEMA oracle_audit")

    class InTSQL(Machine):
        connection = None
        connect = staticmethod(lambda _none, **options: engine.connect(**options))
        schemas = schemas_of

        def execute(self, sql: str) -> None:
            engine.execute(sql)

        def fetch(self, sql: str) -> list[tuple[Any, ...]]:
            return engine.query(sql)

    run_state_machine_as_test(InTSQL, settings=settings(STEPS, max_examples=EXPLORE or 3))
    engine.close()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("athena", "trino")]
)
def test_what_runs_on_trino_agrees_with_the_oracle(name: str, server_of: Callable[[str], str]) -> None:
    """A few short histories: a run takes seconds."""
    from tests.conformance.on_servers import ON_SERVERS

    with ON_SERVERS[name].opened(server_of(name)) as engine:

        class OnTrino(Machine):
            connection = engine.url
            schemas = Schemas(PLANNER, AUDIT)

            def execute(self, sql: str) -> None:
                engine.execute(sql)

            def fetch(self, sql: str) -> list[tuple[Any, ...]]:
                return engine.query(sql)

        examples = EXPLORE or (10 if os.environ.get(f"WCDC_TEST_{name.upper()}") == "all" else 1)
        run_state_machine_as_test(
            OnTrino, settings=settings(STEPS, max_examples=examples, stateful_step_count=12)
        )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("spark", "spark_iceberg")]
)
def test_spark_agrees_with_the_oracle(name: str, server_of: Callable[[str], str]) -> None:
    """A short history: a run takes many seconds; on Iceberg only with ``WCDC_TEST_SPARK_ICEBERG=all``."""
    whole = os.environ.get(f"WCDC_TEST_{name.upper()}") == "all"
    if name != "spark" and not (whole or EXPLORE):
        pytest.skip("a run takes seconds")
    with ON_SERVERS[name].opened(server_of(name)) as engine:

        class OnSpark(Machine):
            connection = None
            connect = staticmethod(lambda _none, **options: engine.connect(**options))
            schemas = Schemas(PLANNER, AUDIT)

            def execute(self, sql: str) -> None:
                engine.execute(sql)

            def fetch(self, sql: str) -> list[tuple[Any, ...]]:
                return engine.query(sql)

        examples, steps = (3, 12) if whole else (1, 6)
        few = settings(STEPS, max_examples=EXPLORE or examples, stateful_step_count=steps)
        run_state_machine_as_test(OnSpark, settings=few)
