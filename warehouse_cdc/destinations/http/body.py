"""What a request carries: JSON, XML, a form or nothing, made of a batch's rows."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from warehouse_cdc.destinations.base import Batch
from warehouse_cdc.destinations.encoding import JSON as JSON_STYLE
from warehouse_cdc.destinations.encoding import encode_column, json_text
from warehouse_cdc.destinations.http.client import check_types
from warehouse_cdc.errors import ConfigError
from warehouse_cdc.mapping import marks
from warehouse_cdc.mapping.liquid import CONTEXT, Template
from warehouse_cdc.mapping.marks import RowRejectedError
from warehouse_cdc.mapping.values import kind_of, to_rows

_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


@dataclass(frozen=True)
class Rows:
    """The rows of one call, as templates and bodies see them.

    Attributes:
        batch: The rows.
        single: Whether templates see one ``row``, or ``rows``.
        texts: What the body made of each row, if it makes something of each.
    """

    batch: Batch
    single: bool
    texts: Sequence[str] = ()

    def seen_by(self, template: Template) -> dict[str, Any]:
        """What a template sees: nothing, if it is the same for all rows."""
        return {} if template.constant else self.values

    @cached_property
    def values(self) -> dict[str, Any]:
        """What all templates see."""
        context = self.batch.context
        told = (context.model_id, context.model_name, context.sync_id, context.run_id, self.batch.operation)
        seen: dict[str, Any] = {"context": dict(zip(CONTEXT, told, strict=True))}
        rows: Sequence[dict[str, Any]] = self.batch.rows
        if any(kind_of(field) == "json" for field in self.batch.arrow.schema):  # other text is UTF-8
            rows = marks.without_surrogates(to_rows(self.batch.arrow, exact=True))
        if not self.single:
            return {**seen, "rows": rows}
        row = rows[0]
        return {**row, **seen, "row": row}


class Body(ABC):
    """How rows become the body of a request."""

    content_type: str | None = None

    def check(self, fields: Sequence[str], *, single: bool) -> None:  # noqa: B027
        """Raise ConfigError if it names a field that isn't sent, or one row's in a batch."""

    def texts(self, batch: Batch, invalid: dict[int, str]) -> list[str]:
        """What it makes of each row, if it makes something of each; nothing otherwise.

        Args:
            batch: The rows.
            invalid: Gets a reason for each position whose row can't be sent.
        """
        return []

    @abstractmethod
    def content(self, rows: Rows) -> bytes | None:
        """The body of one call.

        Raises:
            RowRejectedError: A row can't be sent so.
        """


@dataclass(frozen=True)
class _TemplateBody(Body):
    """A body that a template makes."""

    template: str
    _made: Template = field(init=False, repr=False, compare=False)

    def check(self, fields: Sequence[str], *, single: bool) -> None:
        """The template's own check."""
        self._made.check(fields, single=single)


@dataclass(frozen=True)
class Json(_TemplateBody):
    """JSON that a Liquid template makes of ``row`` or ``rows``; a comma before ``]`` or ``}`` is left out."""

    content_type = "application/json"

    def __post_init__(self) -> None:
        """Parse the template."""
        object.__setattr__(self, "_made", Template(self.template, marks.JSON, "body"))

    def content(self, rows: Rows) -> bytes:
        """The filled template, which must be JSON."""
        text = _TRAILING.sub(lambda found: found[1] or "", self._made.render(**rows.seen_by(self._made)))
        try:
            json_text(text)
        except ValueError as error:
            where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "somewhere"
            raise RowRejectedError(
                f"body is no JSON in {where}: a text belongs into quotes, what may be NULL through | json"
            ) from None
        return text.encode()


@dataclass(frozen=True)
class Xml(_TemplateBody):
    """XML that a Liquid template makes of ``row``, or of ``rows``."""

    content_type = "application/xml"

    def __post_init__(self) -> None:
        """Parse the template."""
        object.__setattr__(self, "_made", Template(self.template, marks.XML, "body"))

    def content(self, rows: Rows) -> bytes:
        """The filled template; whether it is XML is the author's affair."""
        return self._made.render(**rows.seen_by(self._made)).encode()


@dataclass(frozen=True)
class Form(Body):
    """A URL-encoded form, with one Liquid template a field; without any, each field of the row as it is."""

    fields: Mapping[str, str] | None = None
    content_type = "application/x-www-form-urlencoded"
    _made: dict[str, Template] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Parse the templates."""
        check_types(Form, vars(self), "body: ")
        made = None
        if self.fields is not None:
            made = {name: Template(text, marks.TEXT, f"body.{name}") for name, text in self.fields.items()}
        object.__setattr__(self, "_made", made)

    def check(self, fields: Sequence[str], *, single: bool) -> None:
        """The templates' own checks."""
        for template in (self._made or {}).values():
            template.check(fields, single=single)

    def content(self, rows: Rows) -> bytes:
        """The form."""
        if self._made is None:
            pairs = {name: marks.text_of(value) for name, value in rows.values["row"].items()}
        else:
            pairs = {name: template.render(**rows.seen_by(template)) for name, template in self._made.items()}
        return urlencode(pairs).encode()


@dataclass(frozen=True)
class JsonColumns(Body):
    """An object with the row's fields, named as the sync's mappings say; an array of them in a batch."""

    content_type = "application/json"

    def texts(self, batch: Batch, invalid: dict[int, str]) -> list[str]:
        """Each row's object."""
        return batch.json(invalid)

    def content(self, rows: Rows) -> bytes:
        """The object, or the array."""
        return _joined(rows)


@dataclass(frozen=True)
class JsonColumn(Body):
    """The value of one field; an array of values in a batch. Text that is JSON is sent as that JSON."""

    column: str
    content_type = "application/json"

    def __post_init__(self) -> None:
        """Check the name."""
        check_types(JsonColumn, vars(self), "body: ")

    def check(self, fields: Sequence[str], *, single: bool) -> None:
        """Raise ConfigError if the field isn't sent."""
        if self.column not in fields:
            raise ConfigError(
                f"body names the column {self.column!r}, and no such field is sent.",
                code="unknown-field",
                hint=f"Fields: {', '.join(fields)}.",
            )

    def content(self, rows: Rows) -> bytes:
        """The value, or the array."""
        return _joined(rows)

    def texts(self, batch: Batch, invalid: dict[int, str]) -> list[str]:
        """Each row's value."""
        index = batch.arrow.schema.get_field_index(self.column)
        arrow, field = batch.arrow.column(index), batch.arrow.schema.field(index)
        texts = [text or "null" for text in encode_column(arrow, field, JSON_STYLE, invalid)]
        for position, text in enumerate(texts):
            if text.startswith('"') and kind_of(field) != "json":
                inner = json.loads(text)
                if _is_json(inner):
                    texts[position] = inner
        return texts


@dataclass(frozen=True)
class Empty(Body):
    """No body."""

    def content(self, rows: Rows) -> None:
        """Nothing."""
        return None


def _joined(rows: Rows) -> bytes:
    return (rows.texts[0] if rows.single else "[" + ",".join(rows.texts) + "]").encode()


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object or array."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json_text(text)
    except (ValueError, RecursionError):
        return False
    return True
