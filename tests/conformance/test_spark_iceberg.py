"""What differs on Iceberg's tables: which ones are made, names and types, and who may take a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import date, datetime, timezone
from decimal import Decimal
from math import isnan

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import PLANNER, Recorder, counted, ids, sync_of
from tests.conformance.spark_iceberg_engine import SparkIcebergEngine, opened
from warehouse_cdc.dialects import SparkOnIceberg
from warehouse_cdc.sources import source_of

pytestmark = pytest.mark.spark_iceberg


@pytest.fixture
def iceberg(server_of: Callable[[str], str]) -> Iterator[SparkIcebergEngine]:
    """Empty schemas in Iceberg's catalog."""
    with opened(server_of("spark_iceberg")) as engine:
        yield engine


@pytest.fixture
def several() -> Iterator[ExitStack]:
    """Closes connections."""
    with ExitStack() as stack:
        yield stack


def test_values_and_names_are_kept_in_tables_of_iceberg(iceberg: SparkIcebergEngine, crm: Recorder) -> None:
    """The format is that of the session's catalog; the second run compares all values and finds nothing."""
    iceberg.execute(
        """CREATE TABLE people (id INT, d DECIMAL(10, 2), f DOUBLE, r FLOAT, b BOOLEAN, day DATE,
        at TIMESTAMP_NTZ, seen TIMESTAMP, raw BINARY, m MAP<STRING, ARRAY<INT>>, `s ,;{}()=\"` STRING)""",
        """INSERT INTO people SELECT 1, 1.50, double('NaN'), 0.5, true, DATE '2024-02-29',
        TIMESTAMP_NTZ '2024-01-01 10:00:00.000001', TIMESTAMP '2024-01-01 12:00:00+02:00', X'00ff',
        map('a', array(1, NULL)), 'it''s'""",
    )
    sync = sync_of(crm, "SELECT *, CAST(id AS TINYINT) AS t, INTERVAL '1' DAY AS i FROM people")
    with iceberg.connect() as warehouse:
        assert isinstance(warehouse._connection.dialect, SparkOnIceberg)
        assert counted(warehouse.run(sync)) == {"added": (1, 1, 1, 0, 0)}
        assert counted(warehouse.run(sync)) == {}
        row = crm.held["1"]
        assert isnan(row.pop("f"))
        assert row == {
            "id": 1,
            "d": Decimal("1.50"),
            "r": 0.5,
            "b": True,
            "day": date(2024, 2, 29),
            "at": datetime(2024, 1, 1, 10, 0, 0, 1),
            "seen": datetime(2024, 1, 1, 10, tzinfo=timezone.utc),
            "raw": b"\x00\xff",
            "m": {"a": [1, None]},
            's ,;{}()="': "it's",
            "t": 1,
            "i": "INTERVAL '1' DAY",
        }
        shown = iceberg.records(f"SHOW CREATE TABLE {iceberg.plan_table()}")[0]["createtab_stmt"]
        assert "USING iceberg" in shown
        crm.take()
        iceberg.execute("UPDATE people SET day = DATE '2024-03-01'")
        warehouse.run(sync)
    assert crm.take() == ids("changed", 1)


def test_the_format_may_be_said(iceberg: SparkIcebergEngine) -> None:
    with wcdc.connect(f"{iceberg.url}?table_format=delta") as warehouse:
        assert "DELTA" in warehouse._connection.dialect.distribution()
    with wcdc.connect(f"{iceberg.url.partition('/ice')[0]}?table_format=iceberg") as warehouse:
        assert "ICEBERG" in warehouse._connection.dialect.distribution()
    with pytest.raises(wcdc.ConfigError) as caught:
        wcdc.connect(f"{iceberg.url}?table_format=parquet")
    assert "table_format" in caught.value.message


def test_one_of_many_that_create_a_table_at_once_has_it(
    iceberg: SparkIcebergEngine, several: ExitStack
) -> None:
    """What a claim is made of."""
    connections = [several.enter_context(closing(source_of(iceberg.url).open())) for _ in range(4)]

    def take(number: int) -> bool:
        try:
            connections[number].execute(f"CREATE TABLE {PLANNER}.claim USING ICEBERG AS SELECT {number} AS n")
        except wcdc.QueryError:
            return False
        return True

    with ThreadPoolExecutor(len(connections)) as pool:
        taken = list(pool.map(take, range(len(connections))))
    assert taken.count(True) == 1
    assert iceberg.query(f"SELECT n FROM {PLANNER}.claim") == [(taken.index(True),)]


def test_a_statement_that_another_ones_commit_met_is_tried_again(
    iceberg: SparkIcebergEngine, several: ExitStack
) -> None:
    """Every row is merged, though all write the same table at once."""
    iceberg.execute(f"CREATE TABLE {PLANNER}.t AS SELECT id, 0 AS v FROM range(4)")
    connections = [several.enter_context(closing(source_of(iceberg.url).open())) for _ in range(4)]

    def merge(number: int) -> None:
        connections[number].execute(
            f"MERGE INTO {PLANNER}.t USING (SELECT {number} AS id) s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET v = v + 1"
        )

    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(merge, range(len(connections))))
    assert sorted(iceberg.query(f"SELECT id, v FROM {PLANNER}.t")) == [(n, 1) for n in range(4)]
