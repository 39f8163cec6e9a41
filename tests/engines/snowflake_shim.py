"""The emulator, with what it lacks or gets wrong for these tests; runs in an environment of its own.

``python snowflake_shim.py PORT``. What is mended here is the emulator's, by the vendor's documentation; what
the dialect writes is meant for the real thing.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import sys
import time
import uuid
from contextvars import ContextVar

import duckdb
import fakesnow.arrow
import fakesnow.server
import pyarrow as pa
import sqlglot
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

SESSIONS: dict[int, object] = {}
"""Number of a session to its connection."""
_numbers = itertools.count(1)
TAG: ContextVar[str] = ContextVar("TAG", default="")
"""The tag of the statement that the request brings."""
RUNNING: dict[str, tuple[str, duckdb.DuckDBPyConnection]] = {}
"""Id of a statement under way to its tag, and to what runs it."""


# -- results --------------------------------------------------------------------------------------

_struct_of = fakesnow.arrow.timestamp_to_sf_struct


def _nullable_struct(column):
    """Timestamps that are NULL: the emulator's own fields can't be."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    missing = column.is_null()
    made = _struct_of(column.fill_null(0) if column.null_count else column)
    fields = [made.type.field(place) for place in range(made.type.num_fields)]
    return pa.StructArray.from_arrays(made.flatten(), fields=fields, mask=missing)


fakesnow.arrow.timestamp_to_sf_struct = _nullable_struct


# -- functions ------------------------------------------------------------------------------------


class _Number(float):
    """A number that keeps its digits."""

    def __new__(cls, text: str) -> _Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _canonical(text: str) -> str:
    """JSON as TO_JSON prints it: names in order."""
    return _printed(json.loads(text, parse_int=_Number, parse_float=_Number))


def _printed(value: object) -> str:
    if isinstance(value, dict):
        members = (
            f"{json.dumps(name, ensure_ascii=False)}:{_printed(value[name])}" for name in sorted(value)
        )
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_printed, value)) + "]"
    return value.text if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


fakesnow.server.shared_fs.duck_conn.create_function("wcdc_canonical", _canonical, ["VARCHAR"], "VARCHAR")


_CLOCK = "%H:%M:%S.%n"
_FORMATS = {
    "YYYY-MM-DD": "%Y-%m-%d",
    **dict.fromkeys(("HH24:MI:SS.FF9", _CLOCK), _CLOCK),
    'YYYY-MM-DD"T"HH24:MI:SS.FF9': f"%Y-%m-%dT{_CLOCK}",
}
"""What the emulator leaves out of TO_VARCHAR unless it knows the value's type, which it seldom does."""


def _call(name: str, *arguments: exp.Expression) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _mend(tree: exp.Expression) -> None:
    for node in list(
        tree.find_all(exp.MD5NumberLower64, exp.JSONFormat, exp.ToChar, exp.TimeToStr, exp.Trim)
    ):
        if isinstance(node, exp.MD5NumberLower64):
            node.replace(exp.cast(_call("md5_number_lower", node.this), "INT128", copy=False))
        elif isinstance(node, exp.JSONFormat):
            node.replace(_call("wcdc_canonical", exp.JSONFormat(this=node.this)))
        elif isinstance(node, exp.Trim):
            if node.args.get("position") == "TRAILING":
                node.replace(_call("rtrim", exp.cast(node.this, "VARCHAR", copy=False), node.expression))
        elif node.args["format"].name in _FORMATS:
            value, shape = node.this, _FORMATS[node.args["format"].name]
            if shape.startswith("%H"):
                value = exp.Add(this=exp.cast(exp.Literal.string("1970-01-01"), "DATE"), expression=value)
            node.replace(_call("strftime", value, exp.Literal.string(shape)))


# -- statements -----------------------------------------------------------------------------------

_transform = FakeSnowflakeCursor._transform
_execute = FakeSnowflakeCursor._execute
_run = FakeSnowflakeCursor.execute


def transform(self, expression, params):
    _mend(expression)
    return _transform(self, expression, params)


def execute_transformed(self, transformed, params=None):
    """Statements on one table wait for each other; a name that is taken has an error of its own."""
    for attempt in itertools.count():
        try:
            return _execute(self, transformed, params)
        except duckdb.TransactionException as error:
            if "onflict" not in str(error) or attempt == 100:
                raise
            time.sleep(0.02)
        except ProgrammingError as error:
            if error.errno == 2003 and "already exists" in error.msg:
                raise ProgrammingError(msg=error.msg, errno=2002, sqlstate="42710") from None
            raise
        except duckdb.InterruptException:
            raise ProgrammingError(msg="SQL execution canceled", errno=604, sqlstate="57014") from None
        except duckdb.Error as error:  # of which the emulator makes a failure that is tried again
            raise ProgrammingError(msg=str(error), errno=100000, sqlstate="22000") from None


def execute(self, command, *arguments, **more):
    """Remember what runs, and what for."""
    number = str(uuid.uuid4())
    RUNNING[number] = (TAG.get(), self._duck_conn)
    try:
        return _known(self, command, *arguments, **more)
    finally:
        del RUNNING[number]


def _history() -> str:
    """What runs, as the query history shows it."""
    texts = ((number, tag, "RUNNING") for number, (tag, _connection) in list(RUNNING.items()))
    rows = ", ".join(f"({', '.join(exp.Literal.string(t).sql('snowflake') for t in row)})" for row in texts)
    return f"(SELECT * FROM (VALUES {rows}) h (query_id, query_tag, execution_status))"


def _known(self, command, *arguments, **more):
    """Statements that the emulator doesn't know at all."""
    command = re.sub(
        r"TABLE\(information_schema\.query_history_by_user\([^)]*\)\)", lambda _: _history(), command
    )
    if found := re.search(r"SYSTEM\$CANCEL_QUERY\('([^']*)'\)", command):
        if running := RUNNING.get(found[1]):
            running[1].interrupt()
        command = "SELECT 'cancelled' AS status"
    if found := re.search(r"SYSTEM\$CANCEL_ALL_QUERIES\((\d+)\)", command):
        SESSIONS[int(found[1])]._duck_conn.interrupt()
        command = "SELECT 'cancelled' AS status"
    if re.match(r"\s*(GRANT|USE WAREHOUSE)\b", command, re.IGNORECASE):
        command = "SELECT 'Statement executed successfully.' AS status"
    command = re.sub(r"CURRENT_ROLE\(\)", "'TESTER'", command)
    return _run(self, command, *arguments, **more)


FakeSnowflakeCursor._transform = transform
FakeSnowflakeCursor._execute = execute_transformed
FakeSnowflakeCursor.execute = execute


# -- requests -------------------------------------------------------------------------------------


async def app(scope, receive, send):
    """The emulator's application, whose answer to a sign-in lacks what newer connectors read."""
    if scope["type"] == "http" and "query-request" in scope["path"]:
        return await fakesnow.server.app(scope, await _tagged(scope, receive), send)
    if scope["type"] != "http" or "login-request" not in scope["path"]:
        return await fakesnow.server.app(scope, receive, send)
    started, body = {}, b""

    async def add(message):
        nonlocal body
        if message["type"] == "http.response.start":
            started.update(message)
            return
        body += message.get("body", b"")
        if message.get("more_body"):
            return
        answer = json.loads(body)
        if data := answer.get("data"):
            number = next(_numbers)
            SESSIONS[number] = fakesnow.server.sessions[data["token"]]
            data |= {"masterToken": data["token"], "sessionId": number, "displayUserName": "TESTER"}
            data |= {"validityInSeconds": 3600, "masterValidityInSeconds": 14400}
        text = json.dumps(answer).encode()
        headers = [(k, v) for k, v in started["headers"] if k.lower() != b"content-length"]
        await send({**started, "headers": [*headers, (b"content-length", str(len(text)).encode())]})
        await send({"type": "http.response.body", "body": text})

    await fakesnow.server.app(scope, receive, add)


async def _tagged(scope, receive):
    """Note the tag of a statement; returns what the request is read by from then on."""
    body, message = b"", {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    plain = gzip.decompress(body) if dict(scope["headers"]).get(b"content-encoding") == b"gzip" else body
    TAG.set((json.loads(plain).get("parameters") or {}).get("QUERY_TAG", ""))
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def again():
        return unread.pop() if unread else await receive()

    return again


if __name__ == "__main__":
    # Dialects are loaded when they are first needed, which two threads must not do at once.
    sqlglot.parse_one("SELECT 1", read="snowflake").sql(dialect="duckdb")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
