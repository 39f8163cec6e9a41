"""Pulling from any database that SQLAlchemy reads: the values themselves tell their types."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Context, Decimal
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
from sqlglot import Dialect

from warehouse_cdc.errors import (
    ConfigError,
    ConnectionLostError,
    QueryError,
    UnsupportedError,
    WarehouseError,
)
from warehouse_cdc.pull.base import Origin, type_of
from warehouse_cdc.pull.reading import Batch, Reading
from warehouse_cdc.warehouses.base import ESCAPED, redacted

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlglot import exp

FIRST_ROWS = 100
BATCH_ROWS = 10_000
"""The most that are fetched at once: the next rows may be wider than the last ones."""
BATCH_BYTES = 16 * 1024 * 1024
_SPOKEN = {
    **{"postgresql": "postgres", "cockroachdb": "postgres", "mssql": "tsql", "mariadb": "mysql"},
    **{"awsathena": "athena", "teradatasql": "teradata"},
}
"""SQLAlchemy's name of a dialect to sqlglot's, where they differ."""
_WIDEST = 38
_EXACT = 2**53
"""The largest integer up to which floats have all of them."""
_Arrays: TypeAlias = Callable[[Sequence[Sequence[Any]]], list[pa.Array]]
"""What makes Arrow's columns of those that a driver returned."""


@dataclass(frozen=True)
class Sql:
    """An SQL that no dialect of ours is for.

    Attributes:
        sqlglot: Its name there; empty for one that sqlglot doesn't know either.
    """

    sqlglot: str

    @classmethod
    def of(cls, name: str) -> Sql:
        """That of a database, by SQLAlchemy's name of it."""
        known = _SPOKEN.get(name, name)
        return cls(known if Dialect.get(known) else "")

    def embeddable(self, sql: str, tree: exp.Query) -> str:
        """As it is."""
        return sql


def engine_of(url: str) -> Engine:
    """The engine of a SQLAlchemy URL.

    Raises:
        UnsupportedError: There is no such dialect, or it isn't a URL.
        ConfigError: The driver isn't installed.
    """
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        return sqlalchemy.create_engine(url)
    except (NoSuchModuleError, ArgumentError, ValueError):
        raise UnsupportedError(
            "That isn't the URL of a warehouse, nor of a database that SQLAlchemy knows.",
            code="connect-url",
            hint="For example mysql+pymysql://user:password@host/database, with the driver installed.",
        ) from None
    except ImportError as error:
        raise ConfigError(
            f"The driver {error.name!r} isn't installed.",
            code="missing-extra",
            hint="Install it beside this package.",
        ) from None


class DatabaseOrigin(Origin):
    """What an Engine connects to.

    A query's types are known once it was read, so that ``describe`` reads it, into a local file.
    """

    def __init__(self, engine: Engine, *, owned: bool) -> None:
        """Read from an engine's connections, and dispose of it at the end if it is owned."""
        self.spoken = Sql.of(engine.dialect.name)
        self._engine = engine
        self._owned = owned
        self._read: _Read | None = None
        self._reading: Reading | None = None

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Read the query, and find a type for each column that all its values have."""
        self._forget()
        self._read = _Read.of(self._batches(sql, arrays_of))
        return [(name, type_of(kind)) for name, kind in zip(self._read.names, self._read.types, strict=True)]

    def rows(self, sql: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """What was read to describe it, which is then forgotten."""
        assert self._read is not None, "described first"
        places = [self._read.names.index(name) for name in names]
        try:
            for table in self._read.tables():
                chosen = table.select(places).rename_columns(list(names))
                yield from chosen.to_batches()
        finally:
            self._forget()

    def probe(self, sql: str) -> None:
        """Nothing more: it was read when it was described."""

    def cancel_statement(self) -> None:
        """Tell the driver, and wait no longer than a moment for it."""
        if (reading := self._reading) is not None:
            reading.stop()

    def close(self) -> None:
        """Remove what was read; close the engine's pool if it is owned."""
        self._forget()
        if self._owned:
            self._engine.dispose()

    def _forget(self) -> None:
        if self._read is not None:
            self._read.folder.cleanup()
            self._read = None

    def _shown(self, sql: str) -> str:
        """A statement without its literals."""
        quoted = self._engine.dialect.identifier_preparer.initial_quote
        return redacted(sql, literal=ESCAPED) if quoted == "`" else redacted(sql)

    def _kind(self, code: Any) -> pa.DataType:
        """What the driver says of a column, for one that has no value: its family at least."""
        driver = self._engine.dialect.loaded_dbapi
        kinds = {"NUMBER": pa.float64(), "DATETIME": pa.timestamp("us"), "BINARY": pa.binary()}
        known = (kind for name, kind in kinds.items() if getattr(driver, name, None) == code)
        return pa.string() if code is None else next(known, pa.string())

    def _begin(self, connection: Connection) -> None:
        """Prepare a session for one query."""

    def _batches(self, sql: str, arrays: _Arrays) -> Iterator[Batch]:
        """What is read, until it is to stop; an error that has come of that is no other."""
        reading = self._reading = Reading()
        # SQLite's connections may belong to their thread, and it can always be stopped.
        aside = self._engine.dialect.name != "sqlite"
        batches = self._fetched(sql, reading, arrays)
        try:
            yield from reading.aside(batches) if aside else batches
        except WarehouseError as error:
            if not reading.stopped:
                raise
            raise QueryError("Reading the model was cancelled.", sql=error.sql) from None
        finally:
            self._reading = None

    def _fetched(self, sql: str, reading: Reading, arrays: _Arrays) -> Generator[Batch, None, None]:
        """Names and declared types of the columns, and their values; at least once.

        A batch has as many rows as some ``BATCH_BYTES`` hold, if they are as wide as those before.
        """
        from sqlalchemy import event
        from sqlalchemy.exc import SQLAlchemyError

        options = {"no_parameters": True, "stream_results": True}
        try:
            with self._engine.connect() as connection:
                self._begin(connection)
                event.listen(connection, "before_cursor_execute", reading.began)
                result = connection.execution_options(**options).exec_driver_sql(sql)
                described = () if result.cursor is None else result.cursor.description or ()
                names = [str(column[0]) for column in described]
                kinds = [self._kind(column[1]) for column in described]
                wanted, empty = min(FIRST_ROWS, BATCH_ROWS), True
                while rows := result.fetchmany(wanted):
                    values = arrays(list(zip(*rows, strict=True)))
                    yield names, kinds, values
                    held = BATCH_BYTES * len(rows) // max(1, sum(array.nbytes for array in values))
                    wanted, empty = max(1, min(held, BATCH_ROWS)), False
                if empty:
                    yield names, kinds, arrays([() for _name in names])
        except SQLAlchemyError as error:
            raise _mapped(error, self._shown(sql)) from None
        except Exception as error:  # drivers raise others of values that Python has no type for
            raise QueryError(
                f"The database's driver can't read the model's rows ({type(error).__name__}).",
                sql=self._shown(sql),
                hint="Cast dates and times before the year 1 or after 9999 to text in the model.",
            ) from None


def _mapped(error: Any, shown: str) -> WarehouseError:
    """An error without the driver's message, which may hold row values."""
    cause = type(getattr(error, "orig", None) or error).__name__
    if getattr(error, "connection_invalidated", False) or getattr(error, "statement", None) is None:
        return ConnectionLostError(f"The database can't be reached ({cause}).", hint="Check its URL.")
    return QueryError(
        f"The database refused the model's query ({cause}).",
        sql=shown,
        hint="Run it with the database's own client to see its message.",
    )


@dataclass(frozen=True)
class _Read:
    """A result that was read whole.

    Attributes:
        names: Its columns.
        types: A type for each that holds all its values.
        folder: Where its parts are.
        count: How many parts.
    """

    names: list[str]
    types: list[pa.DataType]
    folder: tempfile.TemporaryDirectory[str]
    count: int

    @classmethod
    def of(cls, batches: Iterator[Batch]) -> _Read:
        """Read all of it."""
        folder = tempfile.TemporaryDirectory(prefix="wcdc-pull-")
        names: list[str] = []
        declared: list[pa.DataType] = []
        found: list[list[tuple[pa.DataType, bool]]] = []
        count = 0
        try:
            for names, declared, arrays in batches:  # noqa: B007 - of all batches alike
                found.append([(array.type, _is_long(array)) for array in arrays])
                labels = [str(place) for place in range(len(names))]
                feather.write_feather(pa.table(arrays, names=labels), _part(folder.name, count), "lz4")
                count += 1
        except BaseException:
            folder.cleanup()
            raise
        known = [_type_of_all(kinds) for kinds in zip(*found, strict=True)]
        types = [_lasting(d if pa.types.is_null(k) else k) for k, d in zip(known, declared, strict=True)]
        return cls(names, types, folder, count)

    def tables(self) -> Iterator[pa.Table]:
        """Its parts, with columns named by their places."""
        for number in range(self.count):
            part = feather.read_table(_part(self.folder.name, number))
            for place, (column, kind) in enumerate(zip(part.columns, self.types, strict=True)):
                if pa.types.is_string(kind) and not pa.types.is_string(column.type):
                    texts = [None if value is None else _text(value) for value in column.to_pylist()]
                    part = part.set_column(place, part.column_names[place], pa.array(texts, pa.string()))
            yield part


def _part(folder: str, number: int) -> str:
    return str(Path(folder) / f"{number}.arrow")


def arrays_of(columns: Sequence[Sequence[Any]]) -> list[pa.Array]:
    """Columns of whatever a driver returns, each in the narrowest of a few types."""
    return [_array(column) for column in columns]


def _array(values: Sequence[Any]) -> pa.Array:
    """A column of whatever a driver returns, in the narrowest of a few types."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, bool} and bool in kinds and int in kinds:
        values = [None if value is None else int(value) for value in values]
    elif not kinds <= {bool, int, float, str, bytes, date, datetime, time, Decimal} or len(kinds) > 1:
        values, kinds = _alike(values, kinds)
    if kinds == {int}:
        values, kinds = _whole(values)
    if kinds == {Decimal} and not all(value is None or value.is_finite() for value in values):
        return texts(values)
    zones = {value.tzinfo is not None for value in values if isinstance(value, (datetime, time))}
    if len(zones) > 1 or (kinds == {time} and True in zones):  # Arrow would ignore a zone
        return texts(values)
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return texts(values)
    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        return array.cast(pa.timestamp("us", "UTC"))
    plain = pa.types.is_null(array.type) or type_of(array.type) != "VARCHAR" or pa.types.is_string(array.type)
    return array if plain else texts(values)


def texts(values: Sequence[Any]) -> pa.Array:
    """A column of values as text."""
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _is_long(array: pa.Array) -> bool:
    """Whether it has numbers that floats don't tell apart."""
    if not (pa.types.is_integer(array.type) or pa.types.is_decimal(array.type)):
        return False
    return any(_is_beyond(bound) for bound in pc.min_max(array).as_py().values())


def _is_beyond(value: Any) -> bool:
    # NaN can't be put in order.
    return type(value) in (int, Decimal) and value == value and _EXACT < abs(value) < math.inf


def _whole(values: Sequence[Any]) -> tuple[Sequence[Any], set[type]]:
    """Integers, as decimals if one doesn't fit into 64 bits."""
    if all(value is None or -(2**63) <= value < 2**63 for value in values):
        return values, {int}
    return [None if value is None else Decimal(value) for value in values], {Decimal}


def _alike(values: Sequence[Any], kinds: set[type]) -> tuple[Sequence[Any], set[type]]:
    """Values of one type each, made of several or of types that Arrow doesn't know."""
    if kinds <= {int, Decimal}:
        return [None if value is None else Decimal(value) for value in values], {Decimal}
    if kinds <= {int, float, Decimal} and not any(map(_is_beyond, values)):
        return [None if value is None else float(value) for value in values], {float}
    if kinds <= {date, datetime}:
        return [v if v is None or isinstance(v, datetime) else _midnight(v) for v in values], {datetime}
    if kinds <= {bytes, bytearray, memoryview}:
        return [None if value is None else bytes(value) for value in values], {bytes}
    return [None if value is None else _text(value) for value in values], {str}


def _type_of_all(found: Sequence[tuple[pa.DataType, bool]]) -> pa.DataType:
    """A type that holds the values of all parts of a column."""
    kind = reduce(_common, (kind for kind, _long in found))
    return pa.string() if pa.types.is_floating(kind) and any(long for _kind, long in found) else kind


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _text(value: Any) -> str:
    """A value as text; equal values have equal texts, whatever is beside them."""
    if isinstance(value, str):
        return value
    if isinstance(value, (float, Decimal)):
        if math.isfinite(value) and abs(float(value)) < 1e18 and value == int(value):
            return str(int(value))
        if isinstance(value, Decimal) and value.is_finite():
            value = value.normalize(Context(prec=len(value.as_tuple().digits)))
        return str(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_text)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(timezone.utc)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():f} s"
    return str(value) if isinstance(value, (int, UUID)) else repr(value)


def _common(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """A type that holds the values of both."""
    types = pa.types
    if left == right or types.is_null(right):
        return left
    if types.is_null(left):
        return right
    if {types.is_boolean(left), types.is_boolean(right)} == {True, False}:
        number = right if types.is_boolean(left) else left
        return number if types.is_integer(number) else pa.string()
    exact = [types.is_decimal(k) or types.is_integer(k) for k in (left, right)]
    if all(exact):
        (whole, scale), (other, other_scale) = _digits(left), _digits(right)
        scale, whole = max(scale, other_scale), max(whole, other)
        return pa.decimal128(whole + scale, scale) if whole + scale <= _WIDEST else pa.string()
    if all(each or types.is_floating(k) for each, k in zip(exact, (left, right), strict=True)):
        return pa.float64()
    dates = [types.is_date(k) or (types.is_timestamp(k) and k.tz is None) for k in (left, right)]
    return pa.timestamp("us") if all(dates) else pa.string()


def _lasting(kind: pa.DataType) -> pa.DataType:
    """A type that is the same in runs with a few digits more or less."""
    return pa.decimal128(_WIDEST, kind.scale) if pa.types.is_decimal(kind) else kind


def _digits(kind: pa.DataType) -> tuple[int, int]:
    return (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else (19, 0)
