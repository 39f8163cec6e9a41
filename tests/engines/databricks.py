"""A stand-in of a SQL warehouse's Thrift service, in front of the Spark server.

It speaks the protocol of the vendor's own connector to it, which is unchanged: HTTPS and a token, sessions
with a catalog and parameters, statements that are polled, cancelled and closed, results as Arrow batches with
the first of them in the answer. Spark runs the statements.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import shutil
import ssl
import tempfile
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from tests.engines import spark as on_spark
from tests.engines.base import Unavailable

TOKEN = "dapi-test"
WAREHOUSES = "/sql/1.0/warehouses/"
SOON = 0.2
"""Seconds after which a statement's answer is that it is under way."""
PAGE = 5_000
"""Rows of an answer."""
BATCH = 1_000
"""Rows of an Arrow batch of it."""


class Statement:
    """One that runs, or has run.

    Attributes:
        table: Its result, once there is one.
        error: What Spark said, if it failed.
        cancelled: Whether somebody wanted no result.
    """

    def __init__(self, session: Any, sql: str) -> None:
        self.table: pa.Table | None = None
        self.error = ""
        self.cancelled = False
        self.sent = 0
        self._session, self._sql, self._tag = session, sql, uuid.uuid4().hex
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._session.addTag(self._tag)  # of this thread
            self.table = self._session.sql(self._sql).toArrow()
        except Exception as error:
            self.error = str(error).split("\n\nJVM stacktrace:")[0] or type(error).__name__

    def wait(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def cancel(self) -> None:
        self.cancelled = self.cancelled or not self.wait(0)
        self._session.interruptTag(self._tag)


class Service:
    """What the connector's Thrift client may ask for.

    Attributes:
        server: The Spark server behind it.
        request: The ``path`` of the request, in the thread that answers it.
        sessions: Path and parameters of those that were opened, in order.
        statements: Path, statement and its parameters of all that were sent, in order.
        cancelled: Statements that were cancelled.
    """

    def __init__(self, server: str) -> None:
        from databricks.sql.thrift_api.TCLIService import ttypes

        self.request = threading.local()
        self.sessions: list[tuple[str, dict[str, str]]] = []
        self.statements: list[tuple[str, str, dict[str, str]]] = []
        self.cancelled: list[str] = []
        self.server, self._t = server, ttypes
        self._open: dict[bytes, Any] = {}
        self._known: dict[bytes, Statement] = {}
        self._good = ttypes.TStatus(ttypes.TStatusCode.SUCCESS_STATUS)

    def _failed(self, message: str, code: str = "ERROR_STATUS") -> Any:
        return self._t.TStatus(getattr(self._t.TStatusCode, code), errorMessage=message)

    # Named as the protocol names them.

    def OpenSession(self, asked: Any) -> Any:  # noqa: N802
        from pyspark.sql import SparkSession

        t, found = self._t, dict(asked.configuration or {})
        self.sessions.append((self.request.path, found))
        session = SparkSession.builder.remote(self.server).create()
        session.conf.set("spark.sql.ansi.enabled", found.get("ANSI_MODE", "true"))
        session.conf.set("spark.sql.session.timeZone", found.get("TIMEZONE", "UTC"))
        session.conf.set("spark.sql.sources.default", "delta")
        place = asked.initialNamespace
        if place is not None and place.catalogName:
            session.catalog.setCurrentCatalog(place.catalogName)
        if place is not None and place.schemaName:
            session.catalog.setCurrentDatabase(place.schemaName)
        key = uuid.uuid4().bytes
        self._open[key] = session
        return t.TOpenSessionResp(
            status=self._good,
            serverProtocolVersion=t.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7,
            sessionHandle=t.TSessionHandle(t.THandleIdentifier(key, uuid.uuid4().bytes)),
            canUseMultipleCatalogs=True,
        )

    def CloseSession(self, asked: Any) -> Any:  # noqa: N802
        session = self._open.pop(asked.sessionHandle.sessionId.guid, None)
        if session is None:
            return self._t.TCloseSessionResp(self._failed("Invalid SessionHandle", "INVALID_HANDLE_STATUS"))
        session.stop()
        return self._t.TCloseSessionResp(self._good)

    def ExecuteStatement(self, asked: Any) -> Any:  # noqa: N802
        t, session = self._t, self._open.get(asked.sessionHandle.sessionId.guid)
        if session is None:
            return t.TExecuteStatementResp(self._failed("Invalid SessionHandle", "INVALID_HANDLE_STATUS"))
        self.statements.append((self.request.path, asked.statement, dict(asked.confOverlay or {})))
        key, statement = uuid.uuid4().bytes, Statement(session, asked.statement)
        self._known[key] = statement
        handle = t.TOperationHandle(
            t.THandleIdentifier(key, uuid.uuid4().bytes),
            operationType=t.TOperationType.EXECUTE_STATEMENT,
            hasResultSet=True,
        )
        answer = t.TExecuteStatementResp(status=self._good, operationHandle=handle)
        if statement.wait(SOON):
            answer.directResults = t.TSparkDirectResults(operationStatus=self._state(statement))
            if statement.table is not None:
                answer.directResults.resultSetMetadata = self._metadata(statement.table)
                page = self._page(statement, asked.getDirectResults.maxRows)
                answer.directResults.resultSet = page
                if not page.hasMoreRows:
                    del self._known[key]
                    answer.directResults.closeOperation = t.TCloseOperationResp(self._good)
        return answer

    def _of(self, asked: Any) -> Statement | None:
        return self._known.get(asked.operationHandle.operationId.guid)

    def GetOperationStatus(self, asked: Any) -> Any:  # noqa: N802
        statement = self._of(asked)
        if statement is None:
            return self._t.TGetOperationStatusResp(
                self._failed("Invalid OperationHandle", "INVALID_HANDLE_STATUS")
            )
        statement.wait(SOON)
        return self._state(statement)

    def _state(self, statement: Statement) -> Any:
        t, found = self._t, self._t.TOperationState
        if not statement.wait(0):
            state = found.RUNNING_STATE
        elif statement.cancelled:
            state = found.CANCELED_STATE
        else:
            state = found.ERROR_STATE if statement.error else found.FINISHED_STATE
        text = statement.error if state == found.ERROR_STATE else None
        return t.TGetOperationStatusResp(
            status=self._good,
            operationState=state,
            errorMessage=text,
            displayMessage=text,
            diagnosticInfo=text,
        )

    def GetResultSetMetadata(self, asked: Any) -> Any:  # noqa: N802
        statement = self._of(asked)
        if statement is None or statement.table is None:
            return self._t.TGetResultSetMetadataResp(self._failed("There is no result"))
        return self._metadata(statement.table)

    def _metadata(self, table: pa.Table) -> Any:
        t = self._t
        columns = []
        for place, field in enumerate(table.schema):
            entry = t.TPrimitiveTypeEntry(_type_id(t.TTypeId, field.type))
            if pa.types.is_decimal(field.type):
                sizes = {"precision": field.type.precision, "scale": field.type.scale}
                entry.typeQualifiers = t.TTypeQualifiers(
                    {name: t.TTypeQualifierValue(i32Value=size) for name, size in sizes.items()}
                )
            kind = t.TTypeDesc([t.TTypeEntry(primitiveEntry=entry)])
            columns.append(t.TColumnDesc(columnName=field.name, typeDesc=kind, position=place + 1))
        return t.TGetResultSetMetadataResp(
            status=self._good,
            schema=t.TTableSchema(columns),
            resultFormat=t.TSparkRowSetType.ARROW_BASED_SET,
            lz4Compressed=False,
            arrowSchema=table.schema.serialize().to_pybytes(),
        )

    def FetchResults(self, asked: Any) -> Any:  # noqa: N802
        statement = self._of(asked)
        if statement is None or statement.table is None:
            return self._t.TFetchResultsResp(self._failed("There is no result"))
        return self._page(statement, asked.maxRows)

    def _page(self, statement: Statement, most: int) -> Any:
        t, start, table = self._t, statement.sent, statement.table
        assert table is not None
        rows = table.slice(start, min(most, PAGE, table.num_rows - start))
        statement.sent += rows.num_rows
        batches = [
            t.TSparkArrowBatch(batch.serialize().to_pybytes(), batch.num_rows)
            for batch in rows.combine_chunks().to_batches(BATCH)
        ]
        return t.TFetchResultsResp(
            status=self._good,
            hasMoreRows=statement.sent < table.num_rows,
            results=t.TRowSet(startRowOffset=start, rows=[], arrowBatches=batches),
            resultSetMetadata=self._metadata(table),
        )

    def CancelOperation(self, asked: Any) -> Any:  # noqa: N802
        statement = self._of(asked)
        if statement is not None:
            statement.cancel()
            self.cancelled.append(statement._sql)
        return self._t.TCancelOperationResp(self._good)

    def CloseOperation(self, asked: Any) -> Any:  # noqa: N802
        self._known.pop(asked.operationHandle.operationId.guid, None)
        return self._t.TCloseOperationResp(self._good)


def _type_id(ids: Any, kind: pa.DataType) -> int:
    named = {
        "bool": "BOOLEAN",
        "int8": "TINYINT",
        "int16": "SMALLINT",
        "int32": "INT",
        "int64": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "date32[day]": "DATE",
        "binary": "BINARY",
        "null": "NULL",
    }
    name = named.get(str(kind), "STRING")
    if pa.types.is_decimal(kind):
        name = "DECIMAL"
    elif pa.types.is_timestamp(kind):
        name = "TIMESTAMP"
    found: int = getattr(ids, f"{name}_TYPE")
    return found


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine, signed by itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return paths


def assemble() -> Path:
    """The Spark server's folder."""
    return on_spark.assemble()


services: dict[str, Service] = {}
"""What answers at a URL."""


@contextlib.contextmanager
def server(behind: str = "") -> Iterator[str]:
    """Where the service is, in front of a Spark server; it ends with the block.

    Args:
        behind: The server, if one runs already.

    Raises:
        Unavailable: This machine can't run it.
    """
    try:
        from databricks.sql.thrift_api.TCLIService import TCLIService
        from thrift.protocol import TBinaryProtocol
        from thrift.transport import TTransport
    except ImportError as missing:
        raise Unavailable(f"The connector is needed ({missing.name}).") from None
    os.environ.setdefault("SPARK_HOME", "")
    folder = Path(tempfile.mkdtemp(prefix="wcdc-databricks-"))
    try:
        with contextlib.nullcontext(behind) if behind else on_spark.server() as spark:
            service = Service(spark)
            processor = TCLIService.Processor(service)

            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_POST(self) -> None:
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                    code, answer = 200, TTransport.TMemoryBuffer()
                    service.request.path = self.path
                    if not self.path.startswith(WAREHOUSES):
                        code = 404
                    elif self.headers["Authorization"] != f"Bearer {TOKEN}":
                        code = 401
                    else:
                        processor.process(
                            TBinaryProtocol.TBinaryProtocol(TTransport.TMemoryBuffer(body)),
                            TBinaryProtocol.TBinaryProtocol(answer),
                        )
                    self.send_response(code)
                    self.send_header("Content-Type", "application/x-thrift")
                    self.send_header("Content-Length", str(len(answer.getvalue())))
                    self.end_headers()
                    self.wfile.write(answer.getvalue())

                def log_message(self, *_arguments: Any) -> None:
                    """Nothing is printed."""

            certificate, key = _certificate(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            http.daemon_threads = True
            http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=http.serve_forever, daemon=True).start()
            host = f"token:{TOKEN}@127.0.0.1:{http.server_port}"
            url = (
                f"databricks://{host}/?http_path={WAREHOUSES}test&ca_file={quote(str(certificate), safe='')}"
            )
            services[url] = service
            try:
                yield url
            finally:
                del services[url]
                http.shutdown()
                http.server_close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
