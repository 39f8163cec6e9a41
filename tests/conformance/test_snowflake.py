"""What is Snowflake's own: types and equality, claims under fire, ways to sign in, errors; on its emulator."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, PLANNER, Child, Recorder, counted, ids, sync_of, until
from tests.conformance.snowflake_engine import MODELS, SnowflakeEngine
from warehouse_cdc.compile import layout

pytestmark = pytest.mark.snowflake

LEASE = {"lease_seconds": 12.0, "lease_margin": 1.0}

SAME: dict[str, tuple[str, list[list[str]]]] = {
    "integer": ("INTEGER", [["9007199254740993"], ["9007199254740992"], ["0", "-0"]]),
    "short": ("NUMBER(4, 0)", [["1"], ["-128"]]),
    "decimal": ("NUMBER(20, 6)", [["1", "1.0", "1.000000"], ["1.000001"], ["0", "-0.0"], ["-1"], ["100"]]),
    "float": (
        "FLOAT",
        [
            ["'NaN'"],
            ["'-0.0'", "0"],
            ["'inf'"],
            ["'-inf'"],
            ["0.1"],
            ["'0.30000000000000004'"],
            ["'0.3'"],
            ["'1e300'"],
            ["1e15", "1000000000000000"],
        ],
    ),
    "boolean": ("BOOLEAN", [["TRUE"], ["FALSE"]]),
    "varchar": (
        "VARCHAR",
        [
            *(["'a'"], ["'A'"], ["'a '"], ["''"], ["' '"], ["'é'"], ["'e\u0301'"], ["','"], ["'1:a'"], ["'NULL'"]),
            *(["'😀'"], [r"'a\\b'"], [r"'\n'"], ["'it''s'"]),
        ],
    ),
    "char": ("CHAR(4)", [["'a'"], ["'a  '"], ["'A'"], ["''"]]),
    "date": ("DATE", [["'2024-02-29'"], ["'2024-03-01'"], ["'0001-01-01'"], ["'9999-12-31'"]]),
    "time": ("TIME(6)", [["'10:00:00'", "'10:00'"], ["'10:00:00.000001'"]]),
    "timestamp": (
        "TIMESTAMP_NTZ(9)",
        [["'2024-01-01 00:00:00'", "'2024-01-01'"], ["'2024-01-01 00:00:00.000001'"], ["'9999-12-31'"]],
    ),
    "instant": (
        "TIMESTAMP_LTZ(9)",
        [["'2024-01-01 12:00:00+00:00'", "'2024-01-01 14:00:00+02:00'"], ["'2024-01-01 12:00:00+01:00'"]],
    ),
    "zoned": (
        "TIMESTAMP_TZ(3)",
        [["'2024-01-01 12:00:00+00:00'", "'2024-01-01 14:00:00+02:00'"], ["'2024-01-01 12:00:00+01:00'"]],
    ),
    "binary": ("BINARY", [["TO_BINARY('61', 'HEX')"], ["TO_BINARY('41', 'HEX')"], ["TO_BINARY('6120', 'HEX')"]]),
    "variant": (
        "VARIANT",
        [
            ["""PARSE_JSON('{"a":1,"b":[1,2]}')""", """PARSE_JSON('{ "b": [1, 2], "a": 1 }')"""],
            ["""PARSE_JSON('{"a":1,"b":[2,1]}')"""],
            ["""PARSE_JSON('{"a":1,"b":[1,2],"c":null}')"""],
            ["""PARSE_JSON('{"a":"1","b":[1,2]}')"""],
            ["PARSE_JSON('null')"],
            ["""PARSE_JSON('"null"')"""],
            ["PARSE_JSON('[]')", "PARSE_JSON('[ ]')"],
            ["PARSE_JSON('{}')"],
        ],
    ),
    "object": (
        "VARIANT",
        [
            ["OBJECT_CONSTRUCT('a', 1, 'b', 'x')", "OBJECT_CONSTRUCT('b', 'x', 'a', 1)"],
            ["OBJECT_CONSTRUCT('a', 1)", "OBJECT_CONSTRUCT('a', 1, 'b', NULL)"],
            ["OBJECT_CONSTRUCT_KEEP_NULL('a', 1, 'b', NULL)"],
        ],
    ),
    "array": (
        "VARIANT",
        [
            ["PARSE_JSON('[\"a\",\"b\"]')"],
            ["PARSE_JSON('[\"b\",\"a\"]')"],
            ["PARSE_JSON('[\"a,b\"]')"],
            ["PARSE_JSON('[\"a\",null]')"],
        ],
    ),
}
"""Name to a type and classes of equal values."""

PAIRS = [
    (f"{name} {place}", number, before, after, old == new)
    for number, (name, (_kind, classes)) in enumerate(SAME.items())
    for place, (old, before, new, after) in enumerate(
        (old, before, new, after)
        for old, ones in enumerate([["NULL"], *classes])
        for before in ones
        for new, others in enumerate([["NULL"], *classes])
        for after in others
    )
]
"""Every ordered pair of values of each type: an id, the type's place, both, and whether they are equal."""


def show(engine: SnowflakeEngine, *, after: bool) -> None:
    """Make the table of all pairs: a column for each type, which is NULL in the rows of the others."""
    kinds = [kind for kind, _classes in SAME.values()]
    columns = ", ".join(f"v{place} {kind}" for place, kind in enumerate(kinds))
    engine.table(f"id VARCHAR, {columns}")
    for number, kind in enumerate(kinds):
        rows = " UNION ALL ".join(
            f"SELECT '{label}', CAST({new if after else old} AS {kind})"
            for label, place, old, new, _same in PAIRS
            if place == number
        )
        engine.execute(f'INSERT INTO people ("id", "v{number}") {rows}')


def test_d5_equal_values_are_equal_and_different_ones_differ(
    snowflake: SnowflakeEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by value, as after an upgrade, then by fingerprint, on the way back."""
    warehouse, sync = snowflake.connect(changelog=False, snapshot=False), sync_of(crm)
    encoding = layout.FINGERPRINT_ENCODING
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding + 1)
    show(snowflake, after=False)
    assert warehouse.run(sync).status == "success"
    assert len(crm.take()) == len(PAIRS)
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding)
    differ = {label for label, _place, _old, _new, same in PAIRS if not same}
    what = {label: (old, new) for label, _place, old, new, _same in PAIRS}
    for after in (True, False):
        show(snowflake, after=after)
        warehouse.run(sync)
        sent = {row_id for _operation, row_id in crm.take()}
        wrong = [(label, *what[label], "sent" if label in sent else "not sent") for label in sent ^ differ]
        assert not wrong
