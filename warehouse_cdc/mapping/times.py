"""Dates and times as integers and as ISO 8601 text, in any year and to the nanosecond.

Arrow holds dates and timestamps that Python's ``datetime`` can't: years before 1 or after 9999, and
nanoseconds. Text has room for all of them. Years of more than four digits are written with a sign and
six digits (``+012345-01-01``, ``-000044-03-15``), as ISO 8601 allows and ECMAScript requires; year 0 is
1 BC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DAY_SECONDS = 86_400

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FIRST_DAY = date.min.toordinal() - _EPOCH_ORDINAL
_LAST_DAY = date.max.toordinal() - _EPOCH_ORDINAL


def is_time_like(kind: pa.DataType) -> bool:
    """Whether this module handles a column of the type: date, time, timestamp or duration."""
    return bool(pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


def ticks(column: pa.ChunkedArray) -> list[int | None]:
    """A date, time, timestamp or duration column as integers, in the type's own unit."""
    kind = column.type
    narrow = pa.types.is_date32(kind) or pa.types.is_time32(kind)
    integers = column.cast(pa.int32()) if narrow else column.cast(pa.int64())
    values: list[int | None] = integers.to_pylist()
    if pa.types.is_date64(kind):
        return [None if value is None else value // (DAY_SECONDS * 1000) for value in values]
    return values


def in_four_digits(column: pa.ChunkedArray) -> bool:
    """Whether all years of a date (in days) or timestamp column are from 1 to 9999."""
    kind = column.type
    per_day = 1 if pa.types.is_date32(kind) else DAY_SECONDS * PER_SECOND[kind.unit]
    integers = column.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64())
    low, high = pc.min_max(integers).as_py().values()
    return low is None or (low // per_day >= _FIRST_DAY and high // per_day <= _LAST_DAY)


def to_text(kind: pa.DataType) -> Callable[[int], str]:
    """The function that turns ticks of a type into ISO 8601 text; zoned timestamps are UTC, with a ``Z``."""
    if pa.types.is_date(kind):
        return iso_date
    per_second = PER_SECOND[kind.unit]
    if pa.types.is_time(kind):
        return lambda value: iso_time(value, per_second)
    if pa.types.is_duration(kind):
        return lambda value: iso_duration(value, per_second)
    zone = "Z" if kind.tz is not None else ""
    if per_second > PER_SECOND["us"]:
        return lambda value: iso_timestamp(value, per_second) + zone
    micros = PER_SECOND["us"] // per_second

    def timestamp(value: int) -> str:
        try:  # the same text, sooner
            return (_EPOCH + timedelta(microseconds=value * micros)).isoformat() + zone
        except OverflowError:
            return iso_timestamp(value, per_second) + zone

    return timestamp


def to_python(kind: pa.DataType) -> Callable[[int], Any]:
    """The function that turns ticks into a Python object, or into ISO text where none can hold them."""
    text = to_text(kind)
    exact = _exact(kind)

    def convert(value: int) -> Any:
        try:
            result = exact(value)
        except (OverflowError, ValueError):
            result = None
        return text(value) if result is None else result

    return convert


def _exact(kind: pa.DataType) -> Callable[[int], Any]:
    """Ticks to ``date``, ``time``, ``timedelta`` or ``datetime``; None if microseconds don't suffice."""
    if pa.types.is_date(kind):
        return lambda days: date.fromordinal(days + _EPOCH_ORDINAL)
    per_second = PER_SECOND[kind.unit]

    def delta(value: int) -> timedelta | None:
        micros, rest = divmod(value * 1_000_000, per_second)
        return None if rest else timedelta(microseconds=micros)

    if pa.types.is_duration(kind):
        return delta
    epoch = _EPOCH_UTC if pa.types.is_timestamp(kind) and kind.tz is not None else _EPOCH

    def moment(value: int) -> Any:
        since = delta(value)
        if since is None:
            return None
        if not pa.types.is_time(kind):
            return epoch + since
        return (epoch + since).time() if since < timedelta(days=1) else None  # 24:00:00 stays text

    return moment


def iso_year(year: int) -> str:
    """Four digits, or a sign and six (more where six don't do)."""
    return f"{year:04d}" if 0 <= year <= 9999 else f"{year:+07d}"


def iso_date(days: int) -> str:
    """The ISO text of a day counted from 1970-01-01."""
    if _FIRST_DAY <= days <= _LAST_DAY:
        return date.fromordinal(days + _EPOCH_ORDINAL).isoformat()
    # The Gregorian calendar repeats every 400 years of 146,097 days.
    cycles, rest = divmod(days, 146_097)
    inside = date.fromordinal(rest + _EPOCH_ORDINAL)
    return f"{iso_year(inside.year + 400 * cycles)}-{inside.month:02d}-{inside.day:02d}"


def iso_time(value: int, per_second: int) -> str:
    """The ISO text of a time of day: fractions only where they aren't zero, in 6 or 9 digits."""
    seconds, rest = divmod(value, per_second)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}{_fraction(rest, per_second)}"


def iso_timestamp(value: int, per_second: int) -> str:
    """The ISO text of an instant counted from 1970-01-01, without a zone."""
    days, rest = divmod(value, DAY_SECONDS * per_second)
    return f"{iso_date(days)}T{iso_time(rest, per_second)}"


def iso_duration(value: int, per_second: int) -> str:
    """The ISO text of a length of time, in seconds: ``PT90.5S``."""
    seconds, rest = divmod(abs(value), per_second)
    sign = "-" if value < 0 else ""
    return f"PT{sign}{seconds}{_fraction(rest, per_second)}S"


def iso_interval(months: int, days: int, nanoseconds: int) -> str:
    """The ISO text of an interval of months, days and nanoseconds: ``P1M2DT3S``."""
    return f"P{months}M{days}D" + iso_duration(nanoseconds, PER_SECOND["ns"])[1:]


def _fraction(rest: int, per_second: int) -> str:
    if not rest:
        return ""
    nanoseconds = rest * (PER_SECOND["ns"] // per_second)
    return f".{nanoseconds:09d}" if nanoseconds % 1000 else f".{nanoseconds // 1000:06d}"


def time_of(value: time | datetime | date) -> str:
    """The ISO text of a Python date or time; zoned ones in UTC, with a ``Z``."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"
    return value.isoformat()
