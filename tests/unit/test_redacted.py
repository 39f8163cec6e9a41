"""What errors and logs show of a statement: none of its literals, however it is written."""

from __future__ import annotations

import pytest

from warehouse_cdc.warehouses.base import ESCAPED, redacted, unquoted

ANY = (
    "SELECT 'hunter2'",
    "SELECT 'it''s hunter2'",
    "SELECT 1 -- it's\nWHERE x = 'hunter2'",
    "SELECT /* it's */ 'hunter2'",
    "SELECT 'a--', 'hunter2'",
    "SELECT '/*', 'hunter2' /* */",
    "SELECT /* a /* b **/ it's */ 'hunter2'",
    "SELECT 1 /* a /* b */ it's 'hunter2'",
)


@pytest.mark.parametrize(
    "sql",
    [
        *ANY,
        """SELECT "it's", 'hunter2'""",
        """SELECT "a""b's" AS x, 'hunter2'""",
        r"SELECT E'it\'s hunter2'",
        r"SELECT x LIKE'a\' AND y = 'hunter2'",
        "SELECT $$it's hunter2$$",
        "SELECT $a$ $$ hunter2 $a$, 'hunter2'",
        """SELECT "$$", 'hunter2', "$$\"""",
    ],
)
def test_plain_literals(sql: str) -> None:
    shown = redacted(sql)
    assert "hunter2" not in shown and shown.startswith("SELECT")


@pytest.mark.parametrize(
    "sql",
    [
        *ANY[:1],
        *ANY[2:],
        r"SELECT 'it\'s hunter2'",
        'SELECT "it\'s hunter2"',
        "SELECT `it's`, 'hunter2'",
        "SELECT '''it's hunter2'''",
        'SELECT """a "quoted" hunter2"""',
        "SELECT 1 # it's\nWHERE x = 'hunter2'",
    ],
)
def test_literals_with_backslashes(sql: str) -> None:
    assert "hunter2" not in redacted(sql, literal=ESCAPED)


def test_the_rest_is_shown() -> None:
    sql = """SELECT "it's", a FROM t WHERE b = 'x' -- why"""
    assert redacted(sql) == """SELECT "it's", a FROM t WHERE b = '…' -- why"""
    assert redacted("SELECT 1" * 1000).endswith("…")


def test_names_in_brackets() -> None:
    pytest.importorskip("mssql_python")
    from warehouse_cdc.warehouses.tsql_errors import LITERAL

    assert "hunter2" not in redacted("SELECT [it's], N'hunter2'", literal=LITERAL)


def test_snowflake() -> None:
    pytest.importorskip("snowflake.connector")
    from warehouse_cdc.warehouses.snowflake import _shown

    for sql in (
        *(*ANY, """SELECT "it's", 'hunter2'""", r"SELECT 'it\'s hunter2'", "SELECT $$it's hunter2$$"),
        "SELECT 1 // it's\nWHERE x = 'hunter2'",
    ):
        assert "hunter2" not in _shown(sql)


def test_redshift() -> None:
    pytest.importorskip("psycopg")
    from warehouse_cdc.warehouses.redshift import RedshiftConnection

    for sql in (
        *ANY,
        r"SELECT 'it\'s' AND x = 'hunter2'",
        "SELECT 'it''s hunter2'",
        "SELECT $$it's hunter2$$",
    ):
        assert "hunter2" not in redacted(sql, literal=RedshiftConnection._literals)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Invalid value 'hunter2' for INT.", "Invalid value … for INT."),
        ("Invalid value 'it's hunter2, isn't it' for INT.", "Invalid value … for INT."),
        ("Invalid value 'hunter2", "Invalid value …"),
        ("The value \"hunter2\" of 'hunter2'", "The value …"),
        ("Nothing", "Nothing"),
    ],
)
def test_messages_without_what_they_quote(message: str, shown: str) -> None:
    assert unquoted(message) == shown
