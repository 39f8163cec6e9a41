"""What forks of PostgreSQL from before version 14 have in common: some functions are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warehouse_cdc.dialects.postgres import Postgres
from warehouse_cdc.dialects.types import ColumnType


class PostgresFork(Postgres):
    """Without ``bit_xor``, ``trim_scale`` and the hash of records."""

    def checksum(self, hashes: str) -> str:
        """The sum: it is kept apart from overflow, and ``combined`` cuts it to 64 bits."""
        return f"sum(CAST({hashes} AS NUMERIC(38, 0)))"

    def combined(self, checksums: Iterable[int | None], without: Iterable[int | None] = ()) -> int:
        """Sums and differences, modulo 2^64."""
        return (sum(int(part or 0) for part in checksums) - sum(int(part or 0) for part in without)) % 2**64

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Decimals lose their trailing zeros as text."""
        if kind.kind != "decimal":
            return super().canonical_text(expression, kind)
        text = self.cast(expression, self.text_type)
        return f"CASE WHEN strpos({text}, '.') > 0 THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """A hash of the values' encodings, one after the other.

        Each tells where it ends, and none is the beginning of another. The key is among the columns, so that
        hashes of different rows have nothing to do with one another.
        """
        return self.row_hash(" || ".join(self.encoded(*column) for column in columns))

    def encoded(self, expression: str, kind: ColumnType) -> str:
        """A value as its length, a colon and its text; NULL as a hyphen, with which no length begins."""
        text = self.hashed_text(expression, kind)
        return f"coalesce(CAST(length({text}) AS {self.text_type}) || ':' || {text}, '-')"

    def hashed_text(self, expression: str, kind: ColumnType) -> str:
        """A text that equal values share and others don't (D5)."""
        return self.canonical_text(expression, kind)
