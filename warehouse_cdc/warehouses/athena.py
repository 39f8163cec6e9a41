"""Athena by the AWS SDK.

Each statement is alone, so runs are recorded in tables. A request to start one has an id of the client's own:
sent again after a lost answer, it is the same statement. It is over when Athena says so, never before.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from pyarrow import csv
from ulid import ULID

from warehouse_cdc.dialects import Athena, ColumnType
from warehouse_cdc.errors import (
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    WarehouseError,
)
from warehouse_cdc.sources import Athena as Source
from warehouse_cdc.warehouses.alone import AloneConnection, wait_of_conflict
from warehouse_cdc.warehouses.base import Work, redacted, schema_missing, unquoted
from warehouse_cdc.warehouses.trino_values import CONFLICTS, NAMES_ONLY, arrow_type

STATEMENT_BYTES = 262_144
"""What Athena takes as one statement."""
_BLOCK_BYTES = 32 * 1024 * 1024
"""What is read of a result at once; a row is shorter than that."""
_SETTLE_SECONDS = 2.0
"""What a statement was about to commit when it was stopped may land a moment later."""
_SKEW = timedelta(hours=1)
"""How far the clocks of two machines may be apart, so that no statement of a run is overlooked."""
_OVER = ("SUCCEEDED", "FAILED", "CANCELLED")
_FAILURES = (BotoCoreError, ClientError)
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedException"})
_REFUSED = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId"),
        *("InvalidClientTokenId", "InvalidSignatureException", "MissingAuthenticationToken"),
        *("OptInRequired", "SignatureDoesNotMatch", "UnrecognizedClientException"),
    }
)
_DETAILED = frozenset(
    {"array", "map", "row", "time", "timestamp", "time with time zone", "timestamp with time zone"}
)
"""Types of which a result's description doesn't say all."""

_log = logging.getLogger("warehouse_cdc")


def open_athena(source: Source) -> AthenaConnection:
    """Connect.

    Raises:
        ConnectionLostError: Athena can't be reached or refuses the sign-in.
        PermissionDeniedError: A policy is missing.
    """
    try:
        session = boto3.Session(
            aws_access_key_id=source.access_key_id,
            aws_secret_access_key=source.secret_access_key,
            aws_session_token=source.session_token,
            profile_name=source.profile,
            region_name=source.region,
        )
        if source.role_arn is not None:
            session = _with_role(session, source.role_arn, source.external_id)
        # The SDK waits as it is told when it is throttled, and sends the same request again.
        config = Config(
            connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 10}
        )
        athena = session.client("athena", endpoint_url=source.endpoint, config=config)
        s3 = session.client("s3", endpoint_url=source.s3_endpoint, config=config)
    except (BotoCoreError, ValueError) as error:
        raise _mapped(error, "") from None
    connection = AthenaConnection(source, athena, s3)
    connection.query("SELECT 1")
    return connection


def _with_role(session: Any, role: str, external_id: str | None) -> Any:
    """A session as a role, whose credentials are renewed before they expire."""
    inner = session._session
    if (credentials := inner.get_credentials()) is None:
        raise NoCredentialsError
    extra = {"RoleSessionName": "warehouse-cdc"}
    if external_id is not None:
        extra["ExternalId"] = external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=inner.create_client,
        source_credentials=credentials,
        role_arn=role,
        extra_args=extra,
    )
    assumed = boto3.Session(region_name=session.region_name)
    assumed._session._credentials = DeferredRefreshableCredentials(
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
    return assumed


def _python(text: str | None, kind: str) -> Any:
    """A value of a small result; times are those that runs record, in UTC."""
    if text is None:
        return None
    if kind in ("tinyint", "smallint", "integer", "bigint"):
        return int(text)
    if kind in ("double", "float", "real"):
        return float(text)
    if kind == "boolean":
        return text == "true"
    if kind == "decimal":
        return Decimal(text)
    if kind == "timestamp":
        return datetime.fromisoformat(text.ljust(26, "0") if "." in text else text).replace(
            tzinfo=timezone.utc
        )
    return text


def _array(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A column of texts in an Arrow type."""
    if pa.types.is_binary(wanted):
        return pa.array([None if v is None else bytes.fromhex(v) for v in column.to_pylist()], wanted)
    if pa.types.is_timestamp(wanted) and wanted.tz is not None:
        return pc.assume_timezone(column.cast(pa.timestamp(wanted.unit)), "UTC")
    return column.cast(wanted)


class AthenaConnection(AloneConnection):
    """A workgroup and a catalog."""

    insert_bytes = 250_000  # a statement has 262,144 at most

    dialect: Athena

    def __init__(self, source: Source, athena: Any, s3: Any) -> None:
        """Take the SDK's clients, which threads may share; nothing is sent yet."""
        super().__init__()
        self.dialect = Athena(source.state, unique=lambda: str(ULID()).lower())
        self._source = source
        self._athena = athena
        self._s3 = s3
        self._under_way: str | None = None
        self._tidies = True

    # -- statements -------------------------------------------------------------------------------

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything by the API's pages."""
        with self._finished(sql) as execution:
            return self._rows(execution)[1]

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement; again, if it can be repeated and another one was faster."""
        self._repeated(lambda: self._execute(sql), lambda error: wait_of_conflict(error, sql))

    def _execute(self, sql: str) -> None:
        folder = self._folder_of_dropped(sql)
        with self._finished(sql):
            pass
        if folder:
            self._sweep(folder)

    @contextmanager
    def _finished(self, sql: str) -> Iterator[Any]:
        """Run a statement to its end; what it wrote as its result is deleted after the block."""
        # The one kind of comment that all statements may begin with.
        comment = self.labels.comment().removeprefix("/* ").removesuffix(" */ ")
        text = f"-- {comment}\n{sql}" if comment else sql
        if len(text.encode()) > STATEMENT_BYTES:
            raise QueryError(
                f"A statement is longer than the {STATEMENT_BYTES} bytes that Athena takes.",
                sql=redacted(sql),
                hint="Map fewer columns, or shorten the model's SQL: a view can hold the rest of it.",
            )
        self._sending()
        self._unwanted.clear()
        try:
            execution = self._wait(self._start(text))
        except _FAILURES as error:
            raise _mapped(error, sql) from None
        state = execution["Status"]["State"]
        try:
            if state != "SUCCEEDED":
                raise _failed(execution, sql)
            yield execution
        except _FAILURES as error:
            raise _mapped(error, sql) from None
        finally:
            self._discard(execution)

    def _start(self, sql: str) -> str:
        request: dict[str, Any] = {
            "QueryString": sql,
            "ClientRequestToken": f"warehouse-cdc-{uuid.uuid4()}",
            "QueryExecutionContext": {"Catalog": self._source.catalog, "Database": self._source.database},
            "WorkGroup": self._source.workgroup,
        }
        if self._source.output is not None:
            request["ResultConfiguration"] = {"OutputLocation": self._source.output}
        started = self._queued(
            lambda: self._athena.start_query_execution(**request),
            lambda error: isinstance(error, ClientError) and _code(error) == "TooManyRequestsException",
        )
        return str(started["QueryExecutionId"])

    def _wait(self, query_id: str) -> Any:
        """Until Athena says that it is over; it is stopped if nobody wants that any more."""
        self._under_way = query_id
        pause = 0.05
        try:
            while True:
                execution = self._execution(query_id)
                if execution["Status"]["State"] in _OVER:
                    return execution
                time.sleep(pause)
                pause = min(1.5 * pause, 1.0)
        except _FAILURES:
            raise
        except BaseException:
            self.cancel_statement()
            raise
        finally:
            self._under_way = None

    def _execution(self, query_id: str) -> Any:
        return self._athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]

    def end_statements(self, run_id: str) -> bool:
        """Stop them, by the comments that they begin with."""
        try:
            found = self._stopped(run_id)
        except _FAILURES as error:
            raise _mapped(error, "") from None
        if found:
            time.sleep(_SETTLE_SECONDS)
        return found

    def _stopped(self, run_id: str) -> bool:
        began = ULID.from_str(run_id).datetime - _SKEW
        going = []
        for page in self._athena.get_paginator("list_query_executions").paginate(
            WorkGroup=self._source.workgroup
        ):
            ids = page["QueryExecutionIds"]
            if not ids:
                break
            answer = self._athena.batch_get_query_execution(QueryExecutionIds=ids)
            missing = [each["QueryExecutionId"] for each in answer.get("UnprocessedQueryExecutionIds", ())]
            executions = answer["QueryExecutions"] + [self._execution(each) for each in missing]
            for execution in executions:
                first = execution["Query"].partition("\n")[0]
                if execution["Status"]["State"] not in _OVER and f"run={run_id}" in first.split():
                    going.append(execution["QueryExecutionId"])
            if all(execution["Status"]["SubmissionDateTime"] < began for execution in executions):
                break
        for query_id in going:
            self._athena.stop_query_execution(QueryExecutionId=query_id)
        for query_id in going:
            self._wait(query_id)
        return bool(going)

    def cancel_statement(self) -> None:
        """Stop it in Athena."""
        super().cancel_statement()
        if (query_id := self._under_way) is not None:
            with suppress(*_FAILURES):  # it may be over already
                self._athena.stop_query_execution(QueryExecutionId=query_id)

    # -- results ----------------------------------------------------------------------------------

    def _rows(self, execution: Any) -> tuple[list[Any], list[tuple[Any, ...]]]:
        """A small result's columns and rows."""
        columns: list[Any] = []
        rows: list[tuple[Any, ...]] = []
        pages = self._athena.get_paginator("get_query_results")
        for page in pages.paginate(QueryExecutionId=execution["QueryExecutionId"]):
            found = page["ResultSet"]
            first = not columns
            columns = columns or found["ResultSetMetadata"]["ColumnInfo"]
            # The first row of a query's result has the names of its columns.
            for row in found["Rows"][1:] if first else found["Rows"]:
                values = (value.get("VarCharValue") for value in row["Data"])
                rows.append(tuple(_python(v, c["Type"]) for v, c in zip(values, columns, strict=True)))
        return columns, rows

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """The result's file in S3, a block at a time."""
        types = [arrow_type(kind) for kind in kinds]
        with self._finished(sql) as execution:
            location = execution.get("ResultConfiguration", {}).get("OutputLocation")
            if location is None:
                raise QueryError(
                    "The result isn't in S3: Athena manages the results of this workgroup.",
                    sql=redacted(sql),
                    hint="Give the workgroup a location for its results, or choose another one.",
                )
            bucket, key = _split(location)
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
            try:
                for batch in _read(body, len(types)):
                    arrays = [_array(column, kind) for column, kind in zip(batch.columns, types, strict=True)]
                    whole = pa.RecordBatch.from_arrays(arrays, batch.schema.names)
                    for start in range(0, whole.num_rows, batch_rows):
                        yield whole.slice(start, batch_rows)
            except pa.ArrowInvalid:
                raise QueryError(
                    "A value doesn't fit into an Arrow column of its type.",
                    sql=redacted(sql),
                    query_id=execution["QueryExecutionId"],
                    hint="Cast dates and times before the year 0 or after 9999 to text in the model.",
                ) from None
            finally:
                body.close()

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    # -- the catalog ------------------------------------------------------------------------------

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The columns of the query without rows; Athena spells some types only if it is asked for them."""
        none = f"SELECT * FROM (\n{sql}\n) wcdc_described LIMIT 0"
        with self._finished(none) as execution:
            columns = self._rows(execution)[0]
        if not {column["Type"] for column in columns} & _DETAILED:
            return [(str(column["Name"]), _spelled(column)) for column in columns]
        types = ", ".join(f"typeof({self.dialect.quote(column['Name'])})" for column in columns)
        ((*spelled,),) = self.query(
            f"SELECT {types} FROM (VALUES 1) wcdc_one (wcdc_one) LEFT JOIN (\n{none}\n) wcdc_none ON TRUE"
        )
        return [(str(column["Name"]), str(kind)) for column, kind in zip(columns, spelled, strict=True)]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """Ask the catalog, not the engine: that is no statement."""
        found = set()
        for schema in schemas:
            try:
                listed = list(self._listed(schema))
            except ClientError as error:
                if _code(error) == "MetadataException" and "not found" in str(error).lower():
                    raise schema_missing([schema]) from None
                raise _mapped(error, "") from None
            except BotoCoreError as error:
                raise _mapped(error, "") from None
            found |= {(schema, str(table["Name"])) for table in listed}
        return found

    def _listed(self, schema: str, name: str = "") -> Iterator[Any]:
        """Base tables of a schema, or one of them."""
        request = {"CatalogName": self._source.catalog, "DatabaseName": schema}
        if name:
            request["Expression"] = f"^{re.escape(name)}$"
        for page in self._athena.get_paginator("list_table_metadata").paginate(**request):
            for table in page["TableMetadataList"]:
                if table.get("TableType") != "VIRTUAL_VIEW":
                    yield table

    # -- what is left in S3 -----------------------------------------------------------------------

    def _folder_of_dropped(self, sql: str) -> str:
        """The folder of the table that a statement drops, or nothing."""
        dropped = re.fullmatch(r"DROP TABLE `(.+)`\.`(.+)`", sql)
        if dropped is not None:
            with suppress(*_FAILURES):  # it is the statement that must say what is wrong
                for table in self._listed(*dropped.groups()):
                    if table["Name"] == dropped[2]:
                        return str(table.get("Parameters", {}).get("location", ""))
        return ""

    def _sweep(self, location: str) -> None:
        """Delete what a table that is gone has left in its folder, if that is one of ours."""
        if location.startswith(f"{self._source.state.rstrip('/')}/"):
            bucket, prefix = _split(location.rstrip("/") + "/")
            with self._tidying():
                for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                    self._delete(bucket, [item["Key"] for item in page.get("Contents", ())])

    def _discard(self, execution: Any) -> None:
        """Delete a result: it may hold rows, and nobody reads it again."""
        location = execution.get("ResultConfiguration", {}).get("OutputLocation", "")
        if location.endswith((".csv", ".txt")):
            bucket, key = _split(location)
            with self._tidying():
                self._delete(bucket, [key, f"{key}.metadata"])

    def _delete(self, bucket: str, keys: list[str]) -> None:
        if keys and self._tidies:
            objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            refused = self._s3.delete_objects(Bucket=bucket, Delete=objects).get("Errors")
            if refused:
                self._stop_tidying(str(refused[0].get("Code")))

    @contextmanager
    def _tidying(self) -> Iterator[None]:
        """What can't be deleted stays: no statement fails for that."""
        try:
            yield
        except _FAILURES as error:
            self._stop_tidying(_code(error) if isinstance(error, ClientError) else type(error).__name__)

    def _stop_tidying(self, why: str) -> None:
        if self._tidies:
            _log.warning("objects in S3 that nobody needs any more could not be deleted (%s)", why)
        self._tidies = False

    # -- the session ------------------------------------------------------------------------------

    def user(self) -> str:
        """Nobody: policies are made elsewhere."""
        return ""

    def engine_version(self) -> str:
        """The same for all versions: xxHash64 is defined by its specification."""
        return "xxhash64"

    @property
    def closed(self) -> bool:
        """There is no session that could end."""
        return False

    def clone(self) -> AthenaConnection:
        """Another one with the same clients."""
        return AthenaConnection(self._source, self._athena, self._s3)

    def close(self) -> None:
        """Nothing: the clients keep no session."""


def _read(body: Any, columns: int) -> Iterator[pa.RecordBatch]:
    """A result's file as texts; NULL is what has no quotes."""
    places = [f"c{number}" for number in range(columns)]
    reader = csv.open_csv(
        pa.PythonFile(body, mode="r"),
        read_options=csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=places),
        # The line of a row whose only value is NULL is empty.
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    names: list[str] = []
    for batch in reader:
        rows = batch
        if not names:
            names, rows = [str(column[0]) for column in batch.columns], batch.slice(1)
        yield rows.rename_columns(names)


def _split(location: str) -> tuple[str, str]:
    """Bucket and key of a location."""
    bucket, _slash, key = location.removeprefix("s3://").partition("/")
    return bucket, key


def _spelled(column: Any) -> str:
    """A type as Trino spells it."""
    kind = str(column["Type"])
    if kind == "decimal":
        return f"decimal({column['Precision']}, {column['Scale']})"
    return {"float": "real"}.get(kind, kind)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


_GRANTS = (
    "The policy needs the actions of Athena, S3 and Glue that the page on Athena lists. Where Lake Formation "
    "is used, it must grant both databases and the model's tables."
)


def _mapped(error: Exception, sql: str) -> WarehouseError:
    shown = redacted(sql)
    if not isinstance(error, ClientError):
        return ConnectionLostError(
            f"AWS can't be reached ({type(error).__name__}).",
            sql=shown,
            hint="Check region, endpoints and what there is to sign in with.",
        )
    code = _code(error)
    if code in _DENIED:
        return PermissionDeniedError(f"AWS denied {error.operation_name}.", sql=shown, hint=_GRANTS)
    if code in _REFUSED:
        return ConnectionLostError(
            f"AWS refused the sign-in ({code}).",
            sql=shown,
            hint="Check the key, token or role.",
            retryable=False,
        )
    if code == "TooManyRequestsException":
        return QueryError(
            "Athena's queue is full.",
            sql=shown,
            hint="Ask for a higher quota of active DML queries, or run fewer syncs at once.",
            retryable=True,
        )
    detail = error.response.get("AthenaErrorCode")
    return QueryError(
        f"AWS refused {error.operation_name} ({code}{f', {detail}' if detail else ''}).",
        sql=shown,
        retryable=code in ("InternalServerException", "InternalError", "ServiceUnavailable"),
    )


_DENIAL = re.compile(r"AccessDenied|Lake Formation permission|not authorized")
_RELAYED = re.compile(
    r"FAILED|GENERIC_INTERNAL_ERROR"
    r"|(HIVE|ICEBERG)_\w*(CATALOG|FILESYSTEM|METADATA|METASTORE|SPLIT|UNKNOWN|WRITER)"
)
"""Errors whose message may be that of another service of AWS."""


def _failed(execution: Any, sql: str) -> WarehouseError:
    """The error of a statement that ended otherwise than well."""
    shown, query_id = redacted(sql), str(execution["QueryExecutionId"])
    status = execution["Status"]
    if status["State"] == "CANCELLED":
        return QueryError("The statement was cancelled.", sql=shown, query_id=query_id)
    reason = str(status.get("StateChangeReason", ""))
    found = re.match(r"([A-Z][A-Z_]+)\b", reason)
    name = found[1] if found is not None else "no reason given"
    relayed = found is None or _RELAYED.match(name)
    if name == "PERMISSION_DENIED" or (relayed and _DENIAL.search(unquoted(reason))):
        return PermissionDeniedError("Athena denied a statement.", sql=shown, query_id=query_id, hint=_GRANTS)
    conflict = name in CONFLICTS
    detail = f": {reason.partition(':')[2].strip()}" if name in NAMES_ONLY else "."
    return QueryError(
        f"Athena refused a statement ({name}){detail}",
        sql=shown,
        query_id=query_id,
        code="query-conflict" if conflict else None,
        retryable=conflict or bool(status.get("AthenaError", {}).get("Retryable")),
    )
