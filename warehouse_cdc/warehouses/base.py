"""A connection to a warehouse: statements, transactions, Arrow streams and error mapping.

A connection knows no sync. It is used by one thread at a time; ``clone`` makes another one.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import pyarrow as pa
from sqlglot import exp

from warehouse_cdc.compile.parse import Spoken
from warehouse_cdc.dialects import ColumnType, Dialect
from warehouse_cdc.errors import CdcError, ConnectionLostError, QueryError, StateError

Work = Literal["", "scan", "lookup"]


@dataclass(frozen=True)
class Labels:
    """What a statement is for, as the warehouse's own logs show it.

    Attributes:
        sync: The sync's id.
        run: The run's id.
        stage: The step of the run, or what else it is.
    """

    sync: str = ""
    run: str = ""
    stage: str = ""

    def comment(self) -> str:
        """A comment to put before a statement; empty without a sync."""
        if not self.sync:
            return ""
        named = {"sync": self.sync, "run": self.run, "stage": self.stage}
        texts = [f"{name}={quote(text, safe='')}" for name, text in named.items() if text]
        return f"/* warehouse-cdc {' '.join(texts)} */ "


def literals(texts: str, kept: str) -> re.Pattern[str]:
    """What ``redacted`` looks for: texts to hide, and what may have a quote in it and isn't one.

    Args:
        texts: The texts' pattern.
        kept: That of names in quotes.
    """
    return re.compile(rf"(?P<kept>--[^\n]*|{kept})|(?P<comment>{_COMMENT}|/\*.*)|{texts}", re.DOTALL)


_COMMENT = r"/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/"
for _ in range(5):
    _COMMENT = rf"/\*(?:[^*/]|\*(?!/)|/(?!\*)|{_COMMENT})*\*/"
"""A comment that may have others in it; where it may not, more is hidden than needed."""
PLAIN = r"""(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"""
"""Text in quotes, in which a backslash counts only after an E, and text between dollars."""
NAMED = r'''"(?:[^"]|"")*"'''
"""A name in double quotes."""
STANDARD = literals(PLAIN, NAMED)
ESCAPED = literals(
    r"'''.*?'''|\"{3}.*?\"{3}|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"",
    r"`[^`]*`|#[^\n]*",
)
"""Text in either kind of quotes, in which a backslash takes the next character's meaning away.

Comments may begin with #, too.
"""


def redacted(sql: str, limit: int = 2000, literal: re.Pattern[str] = STANDARD) -> str:
    """A statement with its literals hidden, for errors and logs.

    Args:
        sql: The statement.
        limit: Characters that are shown at most.
        literal: What a literal looks like, by ``literals``.
    """

    def shown(found: re.Match[str]) -> str:
        return found["kept"] or ("/* … */" if found["comment"] else "'…'")

    text = literal.sub(shown, sql)
    return text if len(text) <= limit else text[:limit] + " …"


def unquoted(message: str, marks: str = "'\"") -> str:
    """A warehouse's message without what is in quotes: a row's value may say anything.

    That is all from the first mark to the last one, for a value may have quotes of its own.
    """
    return re.sub(f"[{marks}](?:.*[{marks}]|.*)", "…", message, flags=re.DOTALL)


def schema_missing(schemas: Sequence[str], what: str = "schema") -> StateError:
    """The error of schemas that aren't there, by the warehouse's word for them."""
    return StateError(
        f"The {what} {f' and the {what} '.join(map(repr, schemas))} doesn't exist.",
        code="schema-missing",
        hint="An administrator runs what `warehouse-cdc setup` prints, once.",
    )


def fresh_token(token: Callable[[], str]) -> str:
    """What a caller's function gives to sign in with.

    Raises:
        ConnectionLostError: It failed, or gave no text. Its own message may hold a secret, and isn't told.
    """
    try:
        found = token()
    except CdcError:
        raise
    except Exception as error:
        raise ConnectionLostError(
            f"The function that gives the token failed ({type(error).__name__}).",
            code="source-token",
            hint="Call it by itself to see why: a new session can't sign in without it.",
        ) from None
    if not isinstance(found, str) or not found:
        raise ConnectionLostError(
            f"The function that gives the token returned {type(found).__name__}, not text."
            if not isinstance(found, str)
            else "The function that gives the token returned an empty text.",
            code="source-token",
            hint="It has to return the token itself.",
            retryable=False,
        )
    return found


END_SECONDS = 600.0
"""How long statements that were ended may take to be over."""
SETTLE_SECONDS = 2.0
"""What a statement was about to commit when it was ended may land a moment later."""


def end_all(run_id: str, running: Callable[[], Sequence[str]], end: Callable[[str], object]) -> bool:
    """End statements of a run, or the sessions that they are in, and wait until they are over.

    Args:
        run_id: The run.
        running: Looks for them, and returns their ids.
        end: Tells one to end; a QueryError means that it has done so by itself.

    Returns:
        Whether there were any.

    Raises:
        QueryError: They go on.
    """
    until, pause, any_found = time.monotonic() + END_SECONDS, 0.2, False
    while found := running():
        for each in found:
            with suppress(QueryError):
                end(each)
        any_found = True
        if time.monotonic() > until:
            raise QueryError(
                f"Statements of run {run_id} that was interrupted go on.",
                query_id=found[0],
                hint="End them, then run the sync again.",
                retryable=True,
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)
    if any_found:
        time.sleep(SETTLE_SECONDS)
    return any_found


class Connection(ABC):
    """One session of a warehouse.

    Attributes:
        dialect: The SQL that it speaks.
        statements: How many statements it has sent.
        labels: What the next statements are for; the session tells the warehouse, in the warehouse's own way.
        guard: Called before each statement is sent, and sent again; it raises where none may be any more.
    """

    dialect: Dialect
    statements: int
    labels: Labels = Labels()
    guard: Callable[[], None] | None = None
    loads = False
    """Whether models are of another database, so that their rows are brought here before anything else."""
    result_rows = 10_000_000
    """Rows of a plan that one statement reads: each scans the plan. They wait on local disk."""

    @property
    def origin(self) -> Connection | None:
        """The warehouse that rows are loaded from, if it is one."""
        return None

    @property
    def spoken(self) -> Spoken:
        """What models are written in unless they say otherwise."""
        return self.dialect

    def _sending(self) -> None:
        """Count a statement, unless it may not be sent."""
        if self.guard is not None:
            self.guard()
        self.statements += 1

    @contextmanager
    def labelled(self, sync: str, stage: str) -> Iterator[None]:
        """A block whose statements are for a sync."""
        self.labels = Labels(sync, stage=stage)
        try:
            yield
        finally:
            self.labels = Labels()

    @abstractmethod
    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and return all its rows; alone, or in the open transaction."""

    @abstractmethod
    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement without a result; alone, or in the open transaction.

        Args:
            sql: The statement.
            work: What it does, where the warehouse can make use of knowing: ``scan`` works through many rows
                and is worth all workers that are granted; ``lookup`` looks for some rows of a large table.
        """

    @abstractmethod
    def transaction(
        self,
        *,
        idle_timeout: float | None = None,
        lock_timeout: float | None = None,
        snapshot: bool = False,
    ) -> AbstractContextManager[None]:
        """A transaction around the block: committed at its end, rolled back by an exception.

        Args:
            idle_timeout: Seconds after which the warehouse itself ends the transaction of a client that
                went silent inside it, where it can.
            lock_timeout: Seconds that a statement may wait for a lock, where it can wait.
            snapshot: All its statements see what was committed when it began.
        """

    @abstractmethod
    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """A query's rows as Arrow batches, in bounded memory; outside a transaction.

        Args:
            sql: The query.
            kinds: The type of each column, or None for engine-chosen text and numbers.
            batch_rows: Rows in one Arrow batch.
            idle_timeout: As of ``transaction``, where the rows are read in one.
            expected_rows: About how many there are: many may be worth another way of reading.
        """

    @abstractmethod
    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """The Arrow types in which stored types arrive from ``stream``."""

    @abstractmethod
    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """Insert Arrow rows, by column name, in the open transaction."""

    def _own_type(self, kind: pa.DataType) -> str:
        """The type of a column of the engine's own tables, for Arrow values that are inserted there."""
        if pa.types.is_timestamp(kind):
            return self.dialect.timestamp_type
        if pa.types.is_boolean(kind):
            return self.dialect.boolean_type
        return "BIGINT" if pa.types.is_integer(kind) else self.dialect.text_type

    @abstractmethod
    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The columns of a query as (name, type of the dialect), without running it."""

    def estimate(self, sql: str) -> int | None:
        """The bytes that a query would read, without running it; None where the warehouse doesn't tell."""
        return None

    def load(self, sql: str, columns: Sequence[str], table: str = "") -> str:
        """Bring the rows of a model that was described here; only where ``loads``.

        Args:
            sql: The model.
            columns: The columns that are used.
            table: Where to, qualified and quoted; a temporary place if empty.

        Returns:
            The SELECT that reads them.
        """
        raise NotImplementedError("the model is here")

    def probe(self, sql: str) -> None:
        """Try whether a query can be run, for next to nothing."""
        select = self.dialect.first_rows(f"SELECT 1 FROM (\n{sql}\n) wcdc_probe", 1)
        self.query(self.dialect.finished(select))

    @abstractmethod
    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """The base tables of some schemas, as (schema, name).

        Raises:
            StateError: A schema doesn't exist (code ``schema-missing``).
        """

    def make_schemas(self, *schemas: str) -> None:  # noqa: B027
        """Make those that are missing, where that is no administrator's.

        Raises:
            StateError: One can't be made (code ``schema-missing``).
        """

    @abstractmethod
    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """The names of each table's columns, in lower case.

        None unless all of them are tables of this warehouse that hold their rows: no views, nothing that is
        kept elsewhere or made as it is read.
        """

    def version_of(self, tables: Sequence[exp.Table]) -> str | None:
        """A text that is another one after any commit that changed one of these tables, at next to no cost.

        It may change without a change, never the other way round. None where the warehouse has nothing of
        the kind: then runs compare.
        """
        return None

    def change_hint(self, tables: Sequence[exp.Table]) -> str:
        """A text that is likely to be another one after these tables changed, at next to no cost.

        It may be wrong either way: it only chooses between two ways that both find every change. Empty where
        the warehouse has nothing of the kind.
        """
        return ""

    def findings(self) -> list[tuple[str, bool, str, str]]:
        """What ``check`` says of the warehouse's own settings: name, whether it is well, detail and cure."""
        return []

    def interactive(self) -> AbstractContextManager[None]:
        """A block whose statements somebody waits for, where the warehouse keeps a queue for these."""
        return nullcontext()

    def cancel_statement(self) -> None:  # noqa: B027
        """Stop the statement under way, which then fails; called from another thread.

        Does nothing where there is none, or none can be stopped.
        """

    def end_statements(self, run_id: str) -> bool:
        """End the statements that a run of a dead client left running, and wait until they are over.

        Returns:
            Whether there were any.
        """
        return False

    def user(self) -> str:
        """Whom statements are run for, as grants name it; empty where grants aren't SQL."""
        ((name,),) = self.query(f"SELECT {self.dialect.current_user}")
        return str(name)

    @abstractmethod
    def engine_version(self) -> str:
        """What the engine's hash functions may depend on."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether the session has ended."""

    def check_place(self) -> None:  # noqa: B027
        """Look whether the state can be kept here; ``connect`` asks before anything is written.

        Raises:
            UnsupportedError: It can't.
        """

    @abstractmethod
    def clone(self) -> Connection:
        """Another session of the same warehouse."""

    @abstractmethod
    def close(self) -> None:
        """End the session."""
