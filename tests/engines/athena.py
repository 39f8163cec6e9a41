"""A stand-in of Athena's API, and of as much of S3 as it needs, in front of a Trino server.

It speaks the protocols of both to the vendor's own client. A statement is checked for what Athena refuses and
Trino takes, its DDL is put into Trino's words, and Trino runs it. Objects in S3 are kept in memory: results,
and for each table something that stays in its folder when it is dropped.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import trino
from trino.exceptions import TrinoUserError

from tests.engines import trino as on_trino

STATE = "s3://state/cdc"
OUTPUT = "s3://results/athena"
PAGE = 50
"""Entries of a page where the API lists something."""
RESULT_PAGE = 1000

_PROPERTIES = re.compile(
    r"WITH \(\s*table_type = 'ICEBERG', is_external = false, format = 'PARQUET', "
    r"location = '(s3://[^']+/)'\s*\) AS\b"
)
_NAME = r'"((?:[^"]|"")+)"\."((?:[^"]|"")+)"'
_HIVE_NAME = r"`([^`]+)`\.`([^`]+)`"
_NOT_IN_ICEBERG = re.compile(r"tinyint|smallint|char\(|time\(|time zone|uuid|json|interval|ipaddress")


_ELSEWHERE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)
"""Literals, names in quotes and comments: what is in them is no syntax."""


class RefusedError(Exception):
    """An error of the API: its code and message."""


@dataclass
class Execution:
    """A statement."""

    id: str
    sql: str
    state: str = "QUEUED"
    reason: str = ""
    submitted: float = field(default_factory=time.time)
    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    cursor: Any = None
    output: str = ""

    def shown(self) -> dict[str, Any]:
        status = {"State": self.state, "SubmissionDateTime": self.submitted, "StateChangeReason": self.reason}
        return {
            "QueryExecutionId": self.id,
            "Query": self.sql,
            "Status": status,
            "ResultConfiguration": {"OutputLocation": self.output},
        }


class Athena:
    """What the server remembers.

    Attributes:
        trino_url: The server behind it.
        executions: Statements by id, in order.
        objects: Objects of S3, by bucket and key.
        throttle: So many requests to start a statement are refused first.
        lose: So many answers to such requests are lost.
    """

    def __init__(self, url: str) -> None:
        self.trino_url = url
        self._server = urlsplit(url)
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}
        self._folders: dict[tuple[str, str], str] = {}
        self.executions: dict[str, Execution] = {}
        self.objects: dict[tuple[str, str], bytes] = {}
        self.throttle = 0
        self.lose = 0

    def trino(self, schema: str | None = None) -> Any:
        return trino.dbapi.connect(
            host=self._server.hostname,
            port=self._server.port,
            user="athena",
            catalog="iceberg",
            schema=schema,
            http_scheme="http",
            timezone="UTC",
            legacy_primitive_types=True,
        )

    # -- the API ----------------------------------------------------------------------------------

    def start_query_execution(self, asked: dict[str, Any]) -> dict[str, Any]:
        sql, token = asked["QueryString"], asked["ClientRequestToken"]
        if len(token) < 32 or asked["WorkGroup"] != "primary":
            raise RefusedError("InvalidRequestException", "a parameter is wrong")
        if len(sql.encode()) > 262_144:
            raise RefusedError("InvalidRequestException", "the statement is too long")
        with self._lock:
            if self.throttle:
                self.throttle -= 1
                raise RefusedError("TooManyRequestsException", "too many")
            if token in self._tokens:
                known = self._tokens[token]
                if self.executions[known].sql != sql:
                    raise RefusedError("InvalidRequestException", "the token was used for another statement")
                return {"QueryExecutionId": known}
            execution = Execution(str(uuid.uuid4()), sql)
            execution.output = f"{asked['ResultConfiguration']['OutputLocation']}/{execution.id}.csv"
            self._tokens[token] = execution.id
            self.executions[execution.id] = execution
        database = asked["QueryExecutionContext"]["Database"]
        threading.Thread(target=self._run, args=(execution, database), daemon=True).start()
        return {"QueryExecutionId": execution.id}

    def get_query_execution(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"QueryExecution": self._execution(asked).shown()}

    def batch_get_query_execution(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [self.executions[each].shown() for each in asked["QueryExecutionIds"]]
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": []}

    def list_query_executions(self, asked: dict[str, Any]) -> dict[str, Any]:
        ids, more = _page(list(reversed(self.executions)), asked)
        return {"QueryExecutionIds": ids, **more}

    def stop_query_execution(self, asked: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(asked)
        with self._lock:
            if execution.state in ("QUEUED", "RUNNING"):
                execution.state = "CANCELLED"
        if execution.cursor is not None:
            with contextlib.suppress(Exception):
                execution.cursor.cancel()
        return {}

    def get_query_results(self, asked: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(asked)
        if execution.state != "SUCCEEDED":
            raise RefusedError("InvalidRequestException", "it has no result")
        texts = _texts(execution)[0 if _is_query(execution.sql) else 1 :]
        rows, more = _page(texts, asked, RESULT_PAGE)
        data = [{"Data": [{} if text is None else {"VarCharValue": text} for text in row]} for row in rows]
        info = [_column(name, kind) for name, kind in execution.columns]
        return {"ResultSet": {"Rows": data, "ResultSetMetadata": {"ColumnInfo": info}}, **more}

    def list_table_metadata(self, asked: dict[str, Any]) -> dict[str, Any]:
        schema = asked["DatabaseName"]
        cursor = self.trino().cursor()
        cursor.execute(
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = ?", [schema]
        )
        tables = sorted(cursor.fetchall())
        if not tables:
            cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = ?", [schema])
            if not cursor.fetchall():
                raise RefusedError("MetadataException", f"Database {schema} not found.")
        wanted = re.compile(asked.get("Expression", ""))
        rows, more = _page([row for row in tables if wanted.search(row[0])], asked)
        found = [
            {
                "Name": name,
                "TableType": "VIRTUAL_VIEW" if kind == "VIEW" else "EXTERNAL_TABLE",
                "Parameters": {"location": self._folders.get((schema, name), "")},
            }
            for name, kind in rows
        ]
        return {"TableMetadataList": found, **more}

    def _execution(self, asked: dict[str, Any]) -> Execution:
        return self.executions[asked["QueryExecutionId"]]

    # -- running ----------------------------------------------------------------------------------

    def _run(self, execution: Execution, database: str) -> None:
        try:
            execution.state = "RUNNING"
            self._work(execution, database)
        except TrinoUserError as error:
            reason = f"{error.error_name}: {error.message}"
        except RefusedError as error:
            reason = f"FAILED: {error.args[1]}"
        except Exception as error:
            reason = f"{getattr(error, 'error_name', type(error).__name__)}: {getattr(error, 'message', '')}"
        else:
            reason = ""
        with self._lock:
            if execution.state == "RUNNING":
                execution.state, execution.reason = ("FAILED", reason) if reason else ("SUCCEEDED", "")

    def _work(self, execution: Execution, database: str) -> None:
        sql = re.sub(r"\A(--[^\n]*\n)+", "", execution.sql)
        spoken, made, gone = self._translated(sql)
        cursor = execution.cursor = self.trino(database).cursor()
        cursor.execute(spoken)
        execution.rows = cursor.fetchall()
        if cursor._query.cancelled:
            return
        execution.columns = [(column[0], column[1]) for column in cursor.description or ()]
        if made is not None:
            self._check_types(made)
        if gone is not None:
            self._folders.pop(gone, None)
        if _is_query(sql):
            self.put(execution.output, _csv(execution))

    def _translated(self, sql: str) -> tuple[str, tuple[str, str] | None, tuple[str, str] | None]:
        """A statement as Trino takes it; the table that it makes, and the one that it drops."""
        bare = _ELSEWHERE.sub("''", sql)
        word = sql.split(None, 2)[:2]
        if word == ["CREATE", "TABLE"]:
            name = re.match(rf"CREATE TABLE {_NAME} ", sql)
            properties = _PROPERTIES.search(sql)
            if name is None or properties is None or properties.start() != name.end():
                raise RefusedError("", "a table needs properties and a query")
            made = (name[1], name[2])
            bucket, _slash, prefix = properties[1].removeprefix("s3://").partition("/")
            if any(key.startswith(prefix) for b, key in self.objects if b == bucket):
                raise RefusedError("", "the table's folder isn't empty")
            spoken = sql[: properties.start()] + "WITH (format = 'PARQUET') AS" + sql[properties.end() :]
            self.put(f"{properties[1]}metadata/{uuid.uuid4()}.json", b"{}")
            self._folders.setdefault(made, properties[1])
            return spoken, made, None
        for pattern, put in (
            (rf"DROP TABLE {_HIVE_NAME}", r'DROP TABLE "\1"."\2"'),
            (
                rf"ALTER TABLE {_HIVE_NAME} RENAME TO {_HIVE_NAME}",
                r'ALTER TABLE "\1"."\2" RENAME TO "\3"."\4"',
            ),
            (r"CREATE (?:SCHEMA|DATABASE) IF NOT EXISTS `([^`]+)`", r'CREATE SCHEMA IF NOT EXISTS "\1"'),
        ):
            if found := re.fullmatch(pattern, sql):
                gone = (found[1], found[2]) if "TABLE" in pattern else None
                if gone and "RENAME" in pattern and gone in self._folders:
                    self._folders[found[3], found[4]] = self._folders[gone]
                return found.expand(put), None, gone
        if (
            word[0] not in ("SELECT", "WITH", "INSERT", "DELETE", "UPDATE")
            or "`" in bare
            or "bitwise_xor" in bare
        ):
            raise RefusedError("", "Athena has no such statement")
        return sql, None, None

    def _check_types(self, table: tuple[str, str]) -> None:
        cursor = self.trino().cursor()
        cursor.execute(f'DESCRIBE "{table[0]}"."{table[1]}"')
        for _name, kind, *_more in cursor.fetchall():
            if _NOT_IN_ICEBERG.search(kind):
                raise RefusedError("", f"Athena's Iceberg tables have no {kind}")

    # -- S3 ---------------------------------------------------------------------------------------

    def empty(self) -> None:
        """Forget all tables and objects: the schemas were dropped behind its back."""
        self._folders.clear()
        self.objects.clear()

    def put(self, location: str, body: bytes) -> None:
        bucket, _slash, key = location.removeprefix("s3://").partition("/")
        self.objects[bucket, key] = body

    def keys(self, location: str) -> list[str]:
        """What is below a location."""
        bucket, _slash, prefix = location.removeprefix("s3://").partition("/")
        return sorted(key for b, key in list(self.objects) if b == bucket and key.startswith(prefix))


def _is_query(sql: str) -> bool:
    return re.sub(r"\A(--[^\n]*\n)+", "", sql).lstrip()[:6].upper().startswith(("SELECT", "WITH"))


def _page(entries: list[Any], asked: dict[str, Any], size: int = PAGE) -> tuple[list[Any], dict[str, str]]:
    start = int(asked.get("NextToken") or 0)
    end = start + size
    return entries[start:end], ({"NextToken": str(end)} if end < len(entries) else {})


def _text(value: Any, kind: str) -> str | None:
    """A value as Athena's results spell it."""
    if value is None:
        return None
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "varbinary":
        return base64.b64decode(value).hex(" ")
    if kind.startswith("timestamp"):
        return re.sub(r"(\.\d{3})\d+", r"\1", str(value))
    return str(value)


def _column(name: str, kind: str) -> dict[str, Any]:
    base, _parenthesis, rest = kind.partition("(")
    numbers = [int(number) for number in re.findall(r"\d+", rest)] if base == "decimal" else [0, 0]
    spelled = {"real": "float"}.get(base, base)
    if kind.endswith("time zone"):
        spelled = f"{base} with time zone"
    return {"Name": name, "Type": spelled, "Precision": numbers[0], "Scale": numbers[1]}


def _texts(execution: Execution) -> list[list[str | None]]:
    """A result's header and rows."""
    header: list[str | None] = [name for name, _kind in execution.columns]
    kinds = [kind for _name, kind in execution.columns]
    return [header, *([_text(*each) for each in zip(row, kinds, strict=True)] for row in execution.rows)]


def _csv(execution: Execution) -> bytes:
    quoted = (
        ("" if text is None else '"' + text.replace('"', '""') + '"' for text in line)
        for line in _texts(execution)
    )
    return "".join(",".join(line) + "\n" for line in quoted).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    athena: Athena

    def log_message(self, *_arguments: Any) -> None:
        """Nothing."""

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers.get("X-Amz-Target")
        if target is None:
            self._delete(body)
            return
        action = target.removeprefix("AmazonAthena.")
        try:
            found = getattr(self.athena, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())(json.loads(body))
            status = 200
        except RefusedError as error:
            found, status = {"__type": error.args[0], "Message": error.args[1]}, 400
        if action == "StartQueryExecution" and status == 200 and self.athena.lose:
            self.athena.lose -= 1
            self.close_connection = True
            return
        self._answer(status, json.dumps(found).encode(), "application/x-amz-json-1.1")

    def _delete(self, body: bytes) -> None:
        bucket = urlsplit(self.path).path.strip("/")
        names = [e.text or "" for e in ElementTree.fromstring(body).iter() if e.tag.endswith("Key")]
        for name in names:
            self.athena.objects.pop((bucket, name), None)
        self._answer(200, b"<DeleteResult></DeleteResult>", "application/xml")

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        bucket, _slash, key = unquote(parts.path).lstrip("/").partition("/")
        if not key:
            prefix = parse_qs(parts.query)["prefix"][0]
            found = "".join(
                f"<Contents><Key>{k}</Key></Contents>" for k in self.athena.keys(f"s3://{bucket}/{prefix}")
            )
            answer = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
            self._answer(200, answer.encode(), "application/xml")
        elif (bucket, key) in self.athena.objects:
            self._answer(200, self.athena.objects[bucket, key], "text/csv")
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")


assemble = on_trino.assemble

_running: dict[str, Athena] = {}
"""The stand-ins of this process by their URLs."""


def behind(url: str) -> Athena:
    """What the stand-in of a URL remembers."""
    return _running[url]


@contextlib.contextmanager
def server(behind: str = "") -> Iterator[str]:
    """The URL of a stand-in in front of a Trino server, as ``connect`` takes it; it ends with the block.

    Args:
        behind: The server, if one runs already.

    Raises:
        Unavailable: This machine can't run Trino.
    """
    with contextlib.nullcontext(behind) if behind else on_trino.server() as trino_url:
        athena = Athena(trino_url)
        handler = type("Handler", (_Handler,), {"athena": athena})
        listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listener.server_port}"
        url = (
            f"athena://KEY:secret@eu-west-1/AwsDataCatalog/models?state={STATE}&output={OUTPUT}"
            f"&endpoint={address}&s3_endpoint={address}"
        )
        _running[url] = athena
        try:
            yield url
        finally:
            del _running[url]
            listener.shutdown()
            listener.server_close()
            thread.join()
