"""Filters beside Liquid's own, and those of Liquid's own that must be exact or find what has marks."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import operator
import re
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from email.utils import parseaddr
from typing import Any

from dateutil.parser import isoparse

from warehouse_cdc.mapping.marks import (
    AUTHOR,
    RowRejectedError,
    plain_text,
    text_of,
    without_surrogates,
)

_DIGITS = 1000
"""Arithmetic keeps so many."""


def shown_text(value: Any) -> str:
    """The text that a template shows of a value, without marks."""
    return plain_text(text_of(value))


def _digest(name: str) -> Callable[[Any], str]:
    return lambda value: hashlib.new(name, shown_text(value).encode()).hexdigest()


def _b64_encode(value: Any) -> str:
    data = value if isinstance(value, bytes) else shown_text(value).encode()
    return base64.b64encode(data).decode()


def _b64_decode(value: Any) -> str:
    return base64.b64decode(shown_text(value), validate=True).decode()


def _cast(value: Any, kind: str) -> Any:
    text = shown_text(value).strip()
    if kind == "string":
        return shown_text(value)
    if kind == "number":
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise RowRejectedError("a value can't be cast to a number") from None
        whole = number.is_finite() and abs(number.adjusted()) < _DIGITS and "." not in text
        return int(number) if whole and number == number.to_integral_value() else number
    if kind == "boolean":
        if text.lower() in ("true", "t", "1", "yes"):
            return True
        if text.lower() in ("false", "f", "0", "no", ""):
            return False
        raise RowRejectedError("a value can't be cast to a boolean")
    raise RowRejectedError(f"cast knows string, number and boolean, not {kind}")


def _number(value: Any) -> int | Decimal:
    """A number of a value, exact; nothing is 0."""
    if isinstance(value, int):
        return value
    try:
        number = value if isinstance(value, Decimal) else Decimal(shown_text(value).strip() or 0)
    except InvalidOperation:
        raise RowRejectedError("a value is no number") from None
    if number.is_finite() and abs(number.adjusted()) >= _DIGITS:
        raise RowRejectedError("a number is too large")
    whole = isinstance(value, str) and number == number.to_integral_value() and "." not in value
    return int(number) if whole else number


def _divided(value: int | Decimal, by: int | Decimal) -> int | Decimal:
    both = isinstance(value, int) and isinstance(by, int)
    return value // by if both else Decimal(Decimal(value) / Decimal(by))


def _rounded(value: int | Decimal, digits: int | Decimal = 0) -> int | Decimal:
    if isinstance(value, int) and digits >= 0:
        return value
    found = Decimal(value).quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP)
    return found if digits > 0 else int(found)


def _exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic that loses no digit."""

    def calculated(*values: Any) -> Any:
        with localcontext() as context:
            context.prec = _DIGITS
            return function(*map(_number, values))

    return calculated


def _join(value: Any, by: Any = " ") -> str:
    return text_of(by).join(map(text_of, value if isinstance(value, (list, tuple, range)) else [value]))


def _includes(value: Any, part: Any) -> Any:
    if shown_text(part) not in shown_text(value):
        raise RowRejectedError(f"the value doesn't include {shown_text(part)!r}")
    return value


def _regex_test(value: Any, pattern: str) -> Any:
    if not re.search(pattern, shown_text(value)):
        raise RowRejectedError(f"the value doesn't match {pattern!r}")
    return value


def _validate_email(value: Any) -> Any:
    text = shown_text(value)
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if name or address != text or not local or not re.fullmatch(r"[^\s@.]+(\.[^\s@.]+)+", domain):
        raise RowRejectedError("the value is no e-mail address")
    return value


def _regex_replace(value: Any, pattern: str, replacement: str) -> str:
    inserted = re.sub("[$\udc24](\\d)", r"\\g<\1>", text_of(replacement).replace("\\", r"\\"))
    return re.sub(pattern, inserted, text_of(value))


def _json_construct(*pairs: Any) -> dict[str, Any]:
    if len(pairs) % 2:
        raise RowRejectedError("json_construct takes keys and values in turn")
    return {shown_text(key): value for key, value in zip(pairs[::2], pairs[1::2], strict=True)}


def _parse(value: Any) -> Any:
    return without_surrogates(json.loads(shown_text(value), parse_float=Decimal))


def _whoever_wrote(part: Any) -> re.Pattern[str]:
    """Finds a text, with marks or without."""
    wide = (f"[{re.escape(c)}{chr(AUTHOR + ord(c))}]" if c.isascii() else c for c in shown_text(part))
    return re.compile("".join(wide))


def _split(value: Any, separator: Any) -> list[str]:
    text, by = text_of(value), shown_text(separator)
    if not text or not by or plain_text(text) == by:
        return list(text) if not by else []
    return text.split() if by == " " else _whoever_wrote(separator).split(text)


def _replace(count: int = 0) -> Callable[..., str]:
    return lambda value, old, new="": _whoever_wrote(old).sub(lambda _: text_of(new), text_of(value), count)


def _replace_last(value: Any, old: Any, new: Any = "") -> str:
    text = text_of(value)
    *_, last = [None, *_whoever_wrote(old).finditer(text)]
    return text if last is None else text[: last.start()] + text_of(new) + text[last.end() :]


def _push(value: Any, item: Any) -> list[Any]:
    return [*(value if isinstance(value, (list, tuple)) else [] if value is None else [value]), item]


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return datetime.fromtimestamp(float(value), timezone.utc)
    try:
        found: datetime = isoparse(shown_text(value).strip())
    except ValueError:
        raise RowRejectedError("a value is no date or time") from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _camelcase(value: Any) -> str:
    first, *rest = re.split(r"[\s_\-]+", shown_text(value).strip()) or [""]
    return first.lower() + "".join(word.capitalize() for word in rest)


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": _exact(abs),
    "at_least": _exact(max),
    "at_most": _exact(min),
    "ceil": _exact(math.ceil),
    "divided_by": lambda value, by: _divided(_number(value), _number(by)),
    "floor": _exact(math.floor),
    "join": _join,
    "minus": _exact(operator.sub),
    "modulo": _exact(lambda value, by: value - by * math.floor(value / by)),
    "plus": _exact(operator.add),
    "round": _exact(_rounded),
    "times": _exact(operator.mul),
    "b64_decode": _b64_decode,
    "b64_encode": _b64_encode,
    "camelcase": _camelcase,
    "cast": _cast,
    "includes": _includes,
    "json_construct": _json_construct,
    "md5": _digest("md5"),
    "null_if_empty": lambda value: None if value == "" else value,
    "parse": _parse,
    "push": _push,
    "regex_replace": _regex_replace,
    "regex_test": _regex_test,
    "remove": _replace(),
    "remove_first": _replace(1),
    "remove_last": _replace_last,
    "replace": _replace(),
    "replace_first": _replace(1),
    "replace_last": _replace_last,
    "sha256": _digest("sha256"),
    "sha512": _digest("sha512"),
    "split": _split,
    "to_date": lambda value: _moment(value).astimezone(timezone.utc).isoformat().replace("+00:00", "Z"),
    "to_unix": lambda value: int(_moment(value).timestamp()),
    "validate_email": _validate_email,
}
"""Filters beside Liquid's own, and those of Liquid's own that must find what has marks, or be exact."""
