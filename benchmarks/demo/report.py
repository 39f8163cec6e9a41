"""What the demo prints: at most 80 columns, plain ASCII, colours on a terminal only."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import duckdb
from rich.console import Console
from rich.text import Text

import warehouse_cdc as wcdc
from benchmarks.demo import data, syncs
from benchmarks.demo.compare import Comparison
from benchmarks.demo.replay import Script, Week

WIDTH = 80
MEASURES = ("planned", "attempted", "succeeded", "failed")

PICK = f"""\
SELECT row_id FROM hightouch_audit.sync_changelog
WHERE sync_id = '{syncs.TO_TABLE}'
GROUP BY row_id HAVING bool_or(failure_reason LIKE '%overflow%')
ORDER BY bool_or(op_type = 'removed') DESC, bool_or(op_type = 'changed' AND status = 'failed') DESC,
         count(*) DESC, row_id LIMIT 1"""

STORY = """\
WITH runs AS (
    SELECT sync_run_id, row_number() OVER (ORDER BY sync_run_id) AS run
    FROM hightouch_audit.sync_runs WHERE sync_id = '{sync}'
)
SELECT run, op_type, status, fields ->> 'orders' AS orders,
       fields ->> 'spent' AS spent, failure_reason
FROM hightouch_audit.sync_changelog JOIN runs USING (sync_run_id)
WHERE row_id = '{row_id}' ORDER BY run"""


class Report:
    """Prints to a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._logged: list[str] = []

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print one line, whole, whatever the width of the terminal."""
        text = Text.assemble(*parts)
        text.rstrip()
        self._console.print(text, soft_wrap=True)

    def title(self, text: str, note: str = "") -> None:
        """Begin a section."""
        self.line()
        self.line((text, "bold"), f"  {note}" if note else "")

    # -- before -----------------------------------------------------------------------------------

    def opening(self, script: Script) -> None:
        """Say what is going to happen."""
        self.line(("warehouse-cdc demo", "bold"))
        self.line(
            f"Replays {script.weeks} weeks of a real shop: every Sunday, a SQL model in DuckDB is synced"
        )
        self.line("to a PostgreSQL table and to JSON Lines files, which get only what changed. At")
        self.line("the end both must hold exactly what the model says, or the exit code isn't 0.")
        self.line()
        self._about("data", "CDNOW: what the customers of an online CD shop bought from January")
        self._about("", "1997 to June 1998. The data is real; it comes with the Python package")
        self._about("", f"{data.PACKAGE} {data.version()} (MIT licence).")
        self._about("model", "one row per customer who bought in the last 30 days:")
        self._about("", "customer_id, orders, spent, last_order, tier")
        self._about("table", "upsert, and delete what left the model; spent is lifetime_value there")
        self._about("files", "three a run: added, changed, removed")
        self._about(
            "trouble",
            f"Until week {script.widen}, lifetime_value is too narrow: numeric(5, 2). In week {script.kill},",
        )
        self._about("", "the process is killed half way.")

    def loaded(self, purchases: int, customers: int) -> None:
        """Say what was loaded."""
        self._about("loaded", f"{purchases:,} purchases of {customers:,} customers")
        self.title("Week by week", "(rows of the PostgreSQL table; only rejected ones may differ)")
        head = (
            f"week  {'today':<10}{'in the model':>14}{'sent':>9}{'rejected':>10}{'differing':>11}{'time':>9}"
        )
        self.line((head, "dim"))

    def _about(self, name: str, text: str) -> None:
        self.line((f"{name:<8}", "cyan"), text)

    # -- while it runs ----------------------------------------------------------------------------

    def week(self, week: Week, script: Script) -> None:
        """Tell about a week."""
        if week.number == script.widen:
            self.event("lifetime_value is widened to numeric(10, 2)")
        if week.killed:
            self.event("the process is killed half way (SIGKILL), and another one started")
        for text in self._logged:
            self.event(f"log: {text}")
        self._logged.clear()
        sent = sum(count.succeeded for count in week.table.counts.values())
        rejected, differing = len(week.rejected), len(week.differing)
        self.line(
            f"{week.number:>4}  {week.today}{week.customers:>14,}{sent:>9,}",
            (f"{rejected:>10,}", "red" if rejected else "green"),
            (f"{differing:>11,}", "red" if differing else "green"),
            f"{week.seconds:>7.1f} s",
        )

    def event(self, text: str) -> None:
        """Tell about something between two weeks."""
        for line in textwrap.wrap(text, WIDTH - 6):
            self.line(("      " + line, "yellow"))

    def emit(self, text: str) -> None:
        """Keep a line of the engine's log for the week that is under way."""
        self._logged.append(text)

    # -- afterwards -------------------------------------------------------------------------------

    def runs(self, title: str, history: wcdc.Table, days: Mapping[str, date]) -> None:
        """Each run's counts, as ``sync_runs`` has them."""
        self.title(title, "(hightouch_audit.sync_runs)")
        heads = "  ".join(f"{name:<19}" for name in ("added", "changed", "removed"))
        self.line((f"{'':<17}{heads}", "dim"))
        heads = "  ".join("plan att. succ fail" for _ in range(3))
        self.line((f"run today status {heads}", "dim"))
        for number, row in enumerate(reversed(history.to_pylist()), 1):
            ok = row["status"] == "succeeded"
            parts: list[str | tuple[str, str]] = [f"{number:>3} {days[row['sync_run_id']]:%m-%d} "]
            parts.append(("ok    " if ok else "failed", "green" if ok else "red"))
            for operation in ("add", "change", "remove"):
                parts.append(" " if operation == "add" else "  ")
                for measure in MEASURES:
                    count = row[f"num_{measure}_{operation}"]
                    style = "dim" if not count else "red" if measure == "failed" else ""
                    parts.append((f"{count or '.':>4}", style))
                    parts.append("" if measure == "failed" else " ")
            self.line(*parts)

    def explain(self, history: wcdc.Table) -> None:
        """What a failed run means."""
        for number, row in enumerate(reversed(history.to_pylist()), 1):
            if row["status"] == "failed":
                again = f"Run {number + 1} planned that and the rest again; nothing was lost."
                for line in (
                    f"Run {number} failed: {row['error']}. What was in flight has an unknown outcome and",
                    f"counts as failed. {again}",
                ):
                    self.line((line, "dim"))

    def comparison(self, compared: Mapping[str, Comparison], rejected: Mapping[int, str]) -> None:
        """The destinations against the model."""
        self.title("Every row and value compared with the model", "(read without the engine)")
        self.line((f"{'':<28}{'model':>8}{'found':>8}{'missing':>9}{'extra':>7}{'different':>11}", "dim"))
        for name, one in compared.items():
            counts = (len(one.missing), 9), (len(one.extra), 7), (len(one.different), 11)
            self.line(
                f"{name:<28}{one.expected:>8,}{one.found:>8,}",
                *((f"{count:>{width},}", "red" if count else "green") for count, width in counts),
            )
        for name, one in compared.items():
            for what in ("missing", "extra", "different"):
                if keys := getattr(one, what):
                    more = ", ..." if len(keys) > 5 else ""
                    self.line((f"{name}: {what}: customer {', '.join(map(str, keys[:5]))}{more}", "red"))
        self.line(f"{'rows still rejected':<28}{len(rejected):>8}")
        for customer, reason in list(rejected.items())[:5]:
            self.line((f"customer {customer}: {reason}", "red"))

    def story(self, connection: duckdb.DuckDBPyConnection) -> None:
        """One customer who was rejected, in the changelog."""
        found = connection.execute(PICK).fetchone()
        if found is None:
            return
        query = STORY.format(sync=syncs.TO_TABLE, row_id=found[0])
        cursor = connection.execute(query)
        self.title(f"The story of customer {found[0]}", "(hightouch_audit.sync_changelog)")
        for line in query.splitlines():
            self.line((line, "cyan"))
        self.line()
        self._table([column[0] for column in cursor.description], cursor.fetchall())

    def _table(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        cells = [["" if value is None else str(value) for value in row] for row in rows]
        widths = [max(len(row[at]) for row in [list(names), *cells]) for at in range(len(names))]
        widths[-1] = WIDTH - sum(widths[:-1]) - 2 * (len(names) - 1)
        styles = {"failed": "red", "aborted": "yellow", "succeeded": "green"}
        for style, row in [("dim", list(names)), *(("", cells_) for cells_ in cells)]:
            parts: list[tuple[str, str]] = []
            for at, (text, width) in enumerate(zip(row, widths, strict=True)):
                short = text if len(text) <= width else text[: width - 3] + "..."
                last = at == len(names) - 1
                parts.append((short if last else f"{short:<{width}}  ", style or styles.get(text, "")))
            self.line(*parts)

    def ending(self, good: bool, seconds: float, kept: str | None) -> None:
        """The verdict."""
        self.line()
        if kept:
            self.line(f"Kept in {kept}: warehouse.duckdb, and the JSON Lines in files/")
        if good:
            self.line(("OK", "bold green"), f": both destinations hold what the model says. {seconds:.0f} s")
        else:
            self.line(("FAILED", "bold red"), f": a destination differs from the model. {seconds:.0f} s")

    def error(self, text: str) -> None:
        """Why the demo can't go on."""
        self.line(("FAILED", "bold red"), f": {text}")
