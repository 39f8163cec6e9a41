"""The two ways of reading from PostgreSQL return the same rows in the same types."""

from __future__ import annotations

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import PostgresEngine, Recorder, sync_of
from warehouse_cdc.warehouses import postgres as driver

MANY = driver.COPY_ROWS
TYPES = (
    "timestamp", "timestamptz", "date", "time", "real", "double precision",
    "bytea", "boolean", "smallint", "bigint", "text", "integer",
)  # fmt: skip
ROWS = """
    SELECT t::timestamp, t::timestamptz, d::date, c::time, n::real, n::float8,
      b::bytea, n::real > 0, 3::smallint, 9223372036854775807, x::text, -7
    FROM (VALUES
      ('infinity', 'infinity', '24:00', '2.5', '\\x00ff', ''),
      ('-infinity', '-infinity', '00:00', '-0', '', 'a'),
      ('0044-03-15 BC', '0044-03-15 BC', '12:13:14.123456', '1e-7', 'x', E'tab\\tnewline\\n"quote"'),
      ('294246-01-01', '9999-12-31', NULL, NULL, NULL, NULL),
      (NULL, NULL, NULL, '1', NULL, 'é')
    ) v(t, d, c, n, b, x)
"""


def test_both_ways_return_the_same(postgres: PostgresEngine) -> None:
    connection = postgres.connect()._connection
    kinds = [connection.dialect.column_type(name) for name in TYPES]
    few = pa.Table.from_batches(connection.stream(ROWS, kinds))
    many = pa.Table.from_batches(connection.stream(ROWS, kinds, expected_rows=MANY))
    assert few.schema.types == many.schema.types == connection.arrow_types(kinds)
    assert few.combine_chunks().equals(many.combine_chunks()) and few.num_rows == 5


def test_without_the_arrow_driver_rows_come_by_a_cursor(
    postgres: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = postgres.connect()._connection
    kinds = [connection.dialect.column_type("integer")]
    monkeypatch.setattr(driver, "_adbc_session", lambda conninfo: None)
    rows = "SELECT i::integer FROM generate_series(1, 50000) r(i)"
    batches = list(connection.stream(rows, kinds, expected_rows=MANY))
    assert sum(batch.num_rows for batch in batches) == 50_000 and len(batches) > 1


@pytest.mark.parametrize(
    "sql", ["SELECT 1 / 0", "SELECT 1 / (5 - i::integer) FROM generate_series(1, 9) r(i)"]
)
def test_a_refused_statement_is_a_query_error_without_values(postgres: PostgresEngine, sql: str) -> None:
    connection = postgres.connect()._connection
    with pytest.raises(wcdc.QueryError):
        list(connection.stream(sql, [connection.dialect.column_type("integer")], expected_rows=MANY))


def test_a_syntax_error_shows_no_literal(postgres: PostgresEngine) -> None:
    with pytest.raises(wcdc.QueryError, match="syntax error") as caught:
        postgres.connect()._connection.query("SELECT 1 WHERE 'a' 'hunter2'")
    assert "hunter2" not in str(caught.value) + caught.value.sql


def test_an_instant_that_arrow_can_not_hold_is_an_error(postgres: PostgresEngine) -> None:
    connection = postgres.connect()._connection
    kinds = [connection.dialect.column_type("timestamp")]
    with pytest.raises(wcdc.QueryError, match="later than"):
        list(connection.stream("SELECT '294276-12-31'::timestamp", kinds, expected_rows=MANY))


def test_a_large_run_reads_each_row_once_and_in_order(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.execute("CREATE TABLE people AS SELECT i AS id, i % 7 AS v FROM generate_series(1, 30000) r(i)")
    seen: list[str] = []
    chunks: list[list[str]] = []

    def destination(batch: wcdc.destinations.Batch) -> None:
        seen.extend(batch.row_ids)
        chunks.append(list(batch.row_ids))

    run = postgres.connect().run(sync_of(destination, chunk_rows=5_000, batch_rows=100_000))
    assert run.counts["added"].succeeded == 30_000
    assert len(seen) == len(set(seen)) == 30_000
    assert len(chunks) >= 6 and all(chunk == sorted(chunk) for chunk in chunks)


@pytest.mark.postgres
def test_every_statement_says_what_it_is_for(postgres: PostgresEngine, crm: Recorder) -> None:
    model = wcdc.Model("m", sql="SELECT 1 AS id, current_query() AS said", primary_key="id")
    with postgres.connect() as warehouse:
        run = warehouse.run(wcdc.Sync(id="it's 5 */ DROP", model=model, destination=crm, mode="upsert"))
        (row,) = crm.rows
        label = f"/* warehouse-cdc sync=it%27s%205%20%2A%2F%20DROP run={run.run_id} stage=write_plan */ "
        assert row["said"].startswith(label)
        assert not warehouse._connection.query("SELECT current_query()")[0][0].startswith("/*")
