"""BigQuery by its own client.

Each statement is a job whose id is chosen here: a job that was sent twice because the first answer was lost
runs once, and what became of it is asked by its id. Results are read by the Storage Read API.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import google.auth
import google.auth.credentials
import pyarrow as pa
from google.api_core import exceptions as api
from google.api_core.client_options import ClientOptions
from google.auth import impersonated_credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests.exceptions import RequestException
from ulid import ULID

from warehouse_cdc.dialects import BigQuery, ColumnType
from warehouse_cdc.errors import (
    ConfigError,
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    WarehouseError,
)
from warehouse_cdc.sources.bigquery import BigQuery as Source
from warehouse_cdc.warehouses.alone import AloneConnection
from warehouse_cdc.warehouses.base import ESCAPED, Work, end_all, redacted, schema_missing, unquoted

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_PATIENCE = 90.0
"""Seconds for which a request is repeated that fails for reasons that may pass."""
_ANSWER = 60.0
"""Seconds for which the answer to one request is waited for; the client itself would wait for ever."""
_POLLS = (0.05, 1.0)
"""Seconds between two looks at a job: at first, and at most."""
_STREAMS = 2
"""Streams of rows that are read at once."""
_QUEUED = 4
"""Messages of rows that are waiting to be read, of a megabyte or so."""
_FAILURES = (api.GoogleAPIError, GoogleAuthError, RequestException, ConnectionError)
_retry = bigquery.DEFAULT_RETRY.with_timeout(_PATIENCE)
_log = logging.getLogger("warehouse_cdc")

_ARROW: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "float": pa.float64(),
    "decimal": pa.string(),
    "text": pa.string(),
    "json": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "binary": pa.binary(),
}
_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""Types whose name in schemas isn't that of SQL."""


def open_bigquery(source: Source) -> BigQueryConnection:
    """Connect.

    Raises:
        ConnectionLostError: There are no credentials, or the service can't be reached or refuses them.
    """
    try:
        credentials = _credentials(source)
        client = bigquery.Client(
            project=source.project,
            location=source.location,
            credentials=credentials,
            client_options=ClientOptions(api_endpoint=source.api_endpoint) if source.api_endpoint else None,
        )
    except (GoogleAuthError, OSError, ValueError) as error:
        raise ConnectionLostError(
            f"BigQuery: the credentials can't be used ({type(error).__name__}).",
            hint="Give credentials_file, or sign in with `gcloud auth application-default login`.",
            retryable=False,
        ) from None
    connection = BigQueryConnection(client, source)
    connection.estimate("SELECT 1")
    return connection


def adopt_client(client: bigquery.Client) -> BigQueryConnection:
    """A connection that uses somebody's client.

    Raises:
        ConfigError: The client doesn't say in which location its data sets are (code ``source-field``).
    """
    if not client.location:
        raise ConfigError(
            "The bigquery.Client has no location.",
            code="source-field",
            hint="bigquery.Client(location='EU'): where the data sets are.",
        )
    source = Source(project=client.project, location=client.location)
    return BigQueryConnection(client, source, owned=False)


def _credentials(source: Source) -> google.auth.credentials.Credentials:
    if source.api_endpoint is not None and source.api_endpoint.startswith("http://"):
        return google.auth.credentials.AnonymousCredentials()
    if source.credentials_info is not None:
        found, _project = google.auth.load_credentials_from_dict(dict(source.credentials_info), _SCOPES)
    elif source.credentials_file is not None:
        found, _project = google.auth.load_credentials_from_file(str(source.credentials_file), _SCOPES)
    else:
        found, _project = google.auth.default(_SCOPES)
    if source.impersonate is not None:
        found = impersonated_credentials.Credentials(found, source.impersonate, list(_SCOPES))
    return found


class BigQueryConnection(AloneConnection):
    """Jobs of one project in one location."""

    insert_bytes = 900_000  # a statement may have a megabyte

    dialect: BigQuery

    def __init__(self, client: bigquery.Client, source: Source, *, owned: bool = True) -> None:
        """Take a client; nothing is sent yet."""
        super().__init__()
        self.dialect = BigQuery(source.location)
        self._client = client
        self._source = source
        self._owned = owned
        self._reader: Any = None
        self._under_way: str | None = None
        self._storage = source.storage

    # -- jobs -------------------------------------------------------------------------------------

    def _config(self, **more: Any) -> bigquery.QueryJobConfig:
        about = {"sync": self.labels.sync, "run": self.labels.run, "stage": self.labels.stage}
        config = bigquery.QueryJobConfig(labels=labels({"client": "warehouse-cdc", **about}), **more)
        if self._source.dataset is not None:
            config.default_dataset = self._dataset(self._source.dataset)
        if self._source.maximum_bytes_billed is not None:
            config.maximum_bytes_billed = self._source.maximum_bytes_billed
        return config

    def _dataset(self, schema: str) -> bigquery.DatasetReference:
        self.dialect.schema(schema)  # refuses what is none
        project, _dot, name = schema.rpartition(".")
        return bigquery.DatasetReference(project or self._client.project, name)

    def _run(self, sql: str) -> bigquery.QueryJob:
        """Run a statement to its end; again, if its job failed for a reason that may pass: it did nothing."""
        failed: list[Mapping[str, Any]] = []

        def send() -> bigquery.QueryJob:
            self._under_way = job_id = f"wcdc_{ULID()}"
            failed.clear()
            try:
                with _mapping(sql, job_id):
                    job = self._ended(self._sent(sql, job_id))
            finally:
                self._under_way = None
            if job.error_result is not None:
                failed.append(job.error_result)
                raise _mapped_reason(job.error_result, sql, job_id)
            return job

        # Not if a request failed: then its job may still run.
        return self._repeated(send, lambda _error: 1.0 if any(map(_passes, failed)) else 0.0)

    def _sent(self, sql: str, job_id: str) -> bigquery.QueryJob:
        """Start a job, which is there once however often it is sent."""
        self._sending()
        at = {"location": self._source.location, "retry": _retry, "timeout": _ANSWER}
        try:
            return self._client.query(sql, self._config(), job_id=job_id, job_retry=None, **at)
        except api.Conflict as conflict:
            # It is there: the answer to an earlier attempt of the client's was lost.
            try:
                return self._client.get_job(job_id, **at)
            except api.NotFound:
                raise conflict from None

    def _ended(self, job: bigquery.QueryJob) -> bigquery.QueryJob:
        """Wait for a job's end; a job that nobody waits for any more is cancelled."""
        wait, longest = _POLLS
        try:
            while job.state != "DONE":
                time.sleep(wait)
                wait = min(wait * 1.5, longest)
                job.reload(retry=_retry, timeout=_ANSWER)
        except _FAILURES:
            raise
        except BaseException:
            with suppress(*_FAILURES):  # what went wrong matters more
                job.cancel(retry=None, timeout=5)
            raise
        return job

    def cancel_statement(self) -> None:
        """Cancel its job."""
        super().cancel_statement()
        if (job_id := self._under_way) is not None:
            with suppress(*_FAILURES):  # it may be over, or not there yet: then this is called again
                self._client.cancel_job(job_id, location=self._source.location, retry=None, timeout=5)

    def end_statements(self, run_id: str) -> bool:
        """Cancel its jobs, by their label: a user lists and cancels jobs of their own without a grant."""
        wanted = labels({"run": run_id}).items()

        def running() -> list[str]:
            with _mapping("", None):
                return [
                    job.job_id
                    for state in ("pending", "running")
                    for job in self._client.list_jobs(state_filter=state, retry=_retry)
                    if wanted <= job.labels.items()
                ]

        def end(job_id: str) -> None:
            with _mapping("", job_id):
                self._client.cancel_job(job_id, location=self._source.location, retry=_retry)

        return end_all(run_id, running, end)

    def _rows(self, job: bigquery.QueryJob, page_size: int | None = None) -> Any:
        """A job's result."""
        return job.result(page_size=page_size, retry=_retry, timeout=_ANSWER, job_retry=None)

    def _dry(self, sql: str) -> bigquery.QueryJob:
        """What the service says of a statement without running it."""
        self._sending()
        with _mapping(sql, None):
            return self._client.query(
                sql,
                self._config(dry_run=True, use_query_cache=False),
                location=self._source.location,
                retry=_retry,
                timeout=_ANSWER,
                job_retry=None,
            )

    # -- statements -------------------------------------------------------------------------------

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        job = self._run(sql)
        with _mapping(sql, job.job_id):
            return [tuple(row.values()) for row in self._rows(job)]

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement."""
        self._run(sql)

    def estimate(self, sql: str) -> int | None:
        """The bytes that a dry run says it would process."""
        found = self._dry(sql).total_bytes_processed
        return None if found is None else int(found)

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """The result's rows by the Storage Read API, or by REST where that isn't allowed."""
        job = self._run(sql)
        with _mapping(sql, job.job_id):
            types = self.arrow_types([kind or _TEXT for kind in kinds])
            for batch in self._batches(job, batch_rows):
                names = batch.schema.names
                arrays = [
                    column if column.type == wanted else column.cast(wanted)
                    for column, wanted in zip(batch.columns, types, strict=True)
                ]
                cast = pa.RecordBatch.from_arrays(arrays, names)
                for start in range(0, cast.num_rows, batch_rows):
                    yield cast.slice(start, batch_rows)

    def _batches(self, job: bigquery.QueryJob, batch_rows: int) -> Iterator[pa.RecordBatch]:
        if self._storage:
            found = self._rows(job).to_arrow_iterable(
                bqstorage_client=self._read_client(), max_queue_size=_QUEUED, max_stream_count=_STREAMS
            )
            try:
                first = next(found, None)
            except api.Forbidden:
                _log.warning("BigQuery: rows are read by REST: bigquery.readsessions.create isn't granted")
                self._storage = False
            else:
                if first is not None:
                    yield first
                    yield from found
                return
        yield from self._rows(job, batch_rows).to_arrow_iterable()

    def _read_client(self) -> Any:
        if self._reader is None:
            from google.cloud.bigquery_storage_v1 import BigQueryReadClient
            from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
                BigQueryReadGrpcTransport,
            )

            endpoint = self._source.storage_endpoint
            if endpoint is not None and endpoint.startswith("http://"):
                import grpc

                channel = grpc.insecure_channel(
                    endpoint.removeprefix("http://"), options=[("grpc.max_receive_message_length", -1)]
                )
                self._reader = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
            else:
                self._reader = BigQueryReadClient(
                    credentials=self._client._credentials,
                    client_options=ClientOptions(api_endpoint=endpoint) if endpoint else None,
                )
        return self._reader

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind; decimals travel as strings."""
        return [_ARROW[kind.kind] for kind in kinds]

    # -- what is there ----------------------------------------------------------------------------

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The columns that a dry run promises."""
        return [(field.name, sql_type(field)) for field in self._dry(sql).schema or ()]

    def probe(self, sql: str) -> None:
        """Dry: a query that needs one row only would be billed for all."""
        self._dry(sql)

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """List the data sets, which is no statement and costs nothing."""
        found, missing = set(), []
        for schema in schemas:
            try:
                with _mapping("", None, raised=(api.NotFound,)):
                    pages = self._client.list_tables(self._dataset(schema), retry=_retry, timeout=_ANSWER)
                    listed = list(pages)
            except api.NotFound:
                missing.append(schema)
            else:
                found |= {(schema, item.table_id) for item in listed if item.table_type == "TABLE"}
        if missing:
            raise schema_missing(sorted(missing), "data set")
        return found

    def engine_version(self) -> str:
        """The same for ever: FarmHash's Fingerprint64 is frozen."""
        return "farm-fingerprint"

    @property
    def closed(self) -> bool:
        """There is no session that could end."""
        return False

    def clone(self) -> BigQueryConnection:
        """Another one on the same client, which many may use at once."""
        return BigQueryConnection(self._client, self._source, owned=False)

    def close(self) -> None:
        """Close what is ours."""
        if self._reader is not None:
            self._reader.transport.close()
            self._reader = None
        if self._owned:
            self._client.close()


_TEXT = ColumnType("STRING", "text")
_LABEL = re.compile(r"[^a-z0-9_-]")


def labels(values: Mapping[str, str]) -> dict[str, str]:
    """Labels as the service takes them: lower case, few other characters, at most 63; none are empty."""
    return {name: _LABEL.sub("_", text.lower())[:63] for name, text in values.items() if text}


def sql_type(field: bigquery.SchemaField) -> str:
    """The type of a column of a result, as SQL writes it."""
    name = field.field_type.upper()
    name = _SQL_NAMES.get(name, name)
    if name in ("RECORD", "STRUCT"):
        members = (f"`{each.name}` {sql_type(each)}" for each in field.fields)
        name = f"STRUCT<{', '.join(members)}>"
    elif name == "RANGE":
        name = f"RANGE<{field.range_element_type.element_type}>"
    elif name == "TIMESTAMP" and _digits(field) > 6:
        name = f"TIMESTAMP({_digits(field)})"
    return f"ARRAY<{name}>" if field.mode == "REPEATED" else name


def _digits(field: bigquery.SchemaField) -> int:
    """Digits of a timestamp's seconds, which newer clients tell."""
    told = getattr(field, "timestamp_precision", None)
    return int(getattr(told, "value", told) or 6)


# -- errors ---------------------------------------------------------------------------------------

_PASSING = frozenset(
    {
        *("rateLimitExceeded", "jobRateLimitExceeded", "backendError", "internalError", "badGateway"),
        *("jobBackendError", "jobInternalError", "tableUnavailable"),
    }
)
"""Reasons for which a job fails that may not fail again."""
_NAMES_ONLY = frozenset(
    {
        *("accessDenied", "notFound", "duplicate", "quotaExceeded", "rateLimitExceeded", "resourcesExceeded"),
        *("responseTooLarge", "bytesBilledLimitExceeded", "billingNotEnabled", "jobRateLimitExceeded"),
    }
)
"""Reasons whose message names objects and limits, never row values."""
_PLACED = re.compile(r" at \[\d+:\d+\]")
_CONFLICT = re.compile(
    r"(query error: )?(could not serialize access to table|transaction is aborted due to concurrent)",
    re.IGNORECASE,
)
"""What the messages about another statement that was faster begin with."""
_HINTS = {
    "accessDenied": "The account needs the roles that `warehouse-cdc setup` prints, "
    "roles/bigquery.jobUser in the project among them, and roles/bigquery.dataViewer on the model's tables.",
    "notFound": "All data sets must be in the location that the connection names.",
    "bytesBilledLimitExceeded": "Raise maximum_bytes_billed, or select less in the model.",
    "quotaExceeded": "Run less often, or ask for a higher quota.",
}


@contextmanager
def _mapping(sql: str, job_id: str | None, raised: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn the client's errors into ours, but for some."""
    try:
        yield
    except raised:
        raise
    except _FAILURES as error:
        raise _mapped(error, sql, job_id) from None


def _mapped(error: Exception, sql: str, job_id: str | None) -> WarehouseError:
    if isinstance(error, GoogleAuthError | api.Unauthorized):
        return ConnectionLostError(
            f"BigQuery refused the sign-in ({type(error).__name__}).",
            sql=_shown(sql),
            query_id=job_id,
            hint="Check the credentials.",
            retryable=False,
        )
    if isinstance(error, api.GoogleAPICallError) and error.errors and isinstance(error.errors[0], dict):
        return _mapped_reason(error.errors[0], sql, job_id)
    if isinstance(error, api.ClientError):
        return QueryError(
            f"BigQuery refused a request ({type(error).__name__}).",
            sql=_shown(sql),
            query_id=job_id,
        )
    return ConnectionLostError(
        f"BigQuery can't be reached ({type(error).__name__}).",
        sql=_shown(sql),
        query_id=job_id,
    )


def _shown(sql: str) -> str:
    return redacted(sql, literal=ESCAPED)


def _passes(found: Mapping[str, Any]) -> bool:
    """Whether a job that failed for this reason may not fail again; it has done nothing."""
    return found.get("reason") in _PASSING or _CONFLICT.match(str(found.get("message", ""))) is not None


def _mapped_reason(found: Mapping[str, Any], sql: str, job_id: str | None) -> WarehouseError:
    """The error for a reason and its message."""
    reason, message = str(found.get("reason")), str(found.get("message", ""))
    if reason in _NAMES_ONLY:
        detail = f": {message}"
    elif job_id is None and _PLACED.search(message):
        detail = f": {unquoted(message)}"  # the analyzer's, which may show literals; no row was read
    else:
        detail = "."
    about: dict[str, Any] = {
        "sql": _shown(sql),
        "query_id": job_id,
        "hint": _HINTS.get(reason, ""),
    }
    if reason == "accessDenied":
        return PermissionDeniedError(f"BigQuery denied a statement{detail}", **about)
    conflict = _CONFLICT.match(message) is not None
    return QueryError(
        f"BigQuery refused a statement ({reason}){detail}",
        code="query-conflict" if conflict else None,
        retryable=_passes(found) or reason == "quotaExceeded",
        **about,
    )
