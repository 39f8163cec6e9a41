"""What every destination must keep, as a suite of tests for pytest.

See :class:`DestinationConformance`. It needs pytest and hypothesis.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse_cdc.destinations.base import Capabilities, Destination
from warehouse_cdc.errors import CdcError
from warehouse_cdc.limits import windows
from warehouse_cdc.sync import MODES, ON_REMOVED
from warehouse_cdc.testing.killing import Mortals
from warehouse_cdc.testing.trial import CANARY, FIELDS, KEYS, VALUES, Record, Trial, compare, record, without
from warehouse_cdc.testing.watching import Fault, crashed, lost, twice, unmade, usual

REPLACING = tuple(name for name, mode in MODES.items() if mode.replaces)
SETTING = ("upsert", "update")
"""Modes in which the same values again are no second effect by their nature."""
STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "put": st.dictionaries(st.integers(1, 8), st.integers(0, 3), max_size=5),
            "drop": st.sets(st.integers(1, 8), max_size=3),
            "faults": st.lists(st.sampled_from([usual, usual, unmade, lost, crashed, twice]), max_size=5),
            "publishing": st.lists(st.sampled_from([usual, unmade, lost, crashed]), max_size=3),
            "disturbance": st.integers(0, 9),
        }
    ),
    min_size=1,
    max_size=3,
)


class DestinationConformance:
    """Tests that a destination keeps its promises; subclass it in a test module as ``TestSomething``.

    Each test syncs rows from an embedded warehouse to a new target, and compares what the target then holds
    with what it must hold. Modes, ``on_removed`` and limits that the destination doesn't declare are left
    out. Fixtures of yours are reached by an autouse fixture in the subclass.

    Attributes:
        folder: A new folder for each test.
        modes: The modes to test, if not all that the destination declares.
        kinds: The kinds of value that it takes, of ``text``, ``integer``, ``decimal``, ``float``,
            ``boolean``, ``date``, ``timestamp`` (without a zone), ``instant``, ``json`` and ``binary``.
        refused: Fields of a record that the destination rejects while it takes others, if there are any:
            ``{"name": "refused"}``.
        secrets: What it must never show: passwords, tokens.
        durable: Whether a target outlives the process that writes to it; otherwise nothing is killed.
        examples: Random histories to try for each kind of mode.
        options: More arguments of each sync, such as a higher ``rate``.
    """

    folder: Path
    modes: Iterable[str] | None = None
    kinds: Sequence[str] = tuple(VALUES)
    refused: Mapping[str, Any] | None = None
    secrets: Sequence[str] = ()
    durable: bool = True
    examples: int = 10
    options: Mapping[str, Any] = {}

    # -- what a subclass gives -----------------------------------------------------------------------

    def target(self, fields: Mapping[str, str], mode: str) -> Any:
        """Make a new, empty target, and say where it is: a path, a URL, a name.

        It is pickled for the processes that are killed, which call nothing but ``destination``.

        Args:
            fields: The fields of its records and the kind of value of each; ``id`` identifies a record.
            mode: The mode of the sync that writes to it: ``archive`` writes a record more than once.
        """
        raise NotImplementedError(f"{type(self).__name__} needs target(fields, mode)")

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        """The destination under test, which writes to a target, as a sync in this mode declares it."""
        raise NotImplementedError(f"{type(self).__name__} needs destination(target, mode, on_removed)")

    def read(self, target: Any) -> Iterable[Mapping[str, Any]]:
        """Every record that the target holds; as often as it holds it, in any order."""
        raise NotImplementedError(f"{type(self).__name__} needs read(target)")

    def read_operations(self, target: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Each operation that the target was told and its record, in order; only for mode ``diff``."""
        raise NotImplementedError(f"{type(self).__name__} needs read_operations(target) for mode 'diff'")

    def shown(self, kind: str, value: Any) -> Any:
        """A value as ``read`` shows it, if the target keeps it in another form than Python does."""
        return value

    def seed(self, target: Any, records: Sequence[Record]) -> None:
        """Put records into the target for mode ``update``; by another of its modes."""
        able = self._able.modes
        mode = next((each for each in ("upsert", "insert", "archive") if each in able), None)
        if mode is None:
            raise NotImplementedError(f"{type(self).__name__} needs seed(target, records)")
        with Trial(self, mode, target=target, id="seed") as trial:
            trial.put(*records)
            trial.succeeds()

    def disturbances(self, target: Any) -> Mapping[str, AbstractContextManager[Any]]:
        """Faults of the target itself, by name: each disturbs it while its block runs."""
        return {}

    def unusable(self) -> Destination | None:
        """The destination with wrong credentials or without a target, if it can be made."""
        return None

    # -- declarations -----------------------------------------------------------------------------

    @pytest.fixture(autouse=True)
    def _new_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def test_it_declares_what_exists(self) -> None:
        """Name and capabilities are of the right kinds, and nothing secret is shown."""
        made = self._made
        able = made.capabilities
        assert isinstance(made, Destination) and isinstance(able, Capabilities)
        assert isinstance(made.name, str) and made.name.strip()
        assert able.modes and able.modes <= MODES.keys()
        assert able.on_removed <= set(ON_REMOVED)
        assert able.idempotent <= able.modes
        assert able.single <= {"added", "changed", "removed"}
        assert able.batch_rows >= 1 and (able.batch_bytes is None or able.batch_bytes >= 1)
        assert 1 <= able.concurrency <= able.max_concurrency
        windows(able.rate, able.row_rate)
        assert all(made.publishes(mode) in (True, False) for mode in able.modes)
        for text in (made.name, repr(made), str(made), repr(able)):
            self.discreet(text)

    def discreet(self, text: str) -> None:
        """A text for logs and errors holds no secret and no value of a row."""
        self.keeps_secrets(text)
        assert CANARY not in text, "it shows a value of a row"

    def keeps_secrets(self, text: str) -> None:
        """A text holds no secret."""
        assert not any(secret in text for secret in self.secrets), "it shows a secret"

    @cached_property
    def _made(self) -> Destination:
        """A destination to ask what it can do."""
        return self.destination(self.target(FIELDS, "upsert"), "upsert", "delete")

    @property
    def _able(self) -> Capabilities:
        return self._made.capabilities

    def _modes(self, *wanted: str) -> list[str]:
        """Those modes that the destination declares and this suite is to test."""
        declared = self._able.modes
        chosen = declared if self.modes is None else declared & {*self.modes}
        found = [mode for mode in (wanted or MODES) if mode in chosen]
        if not found:
            pytest.skip(f"it declares no mode of {', '.join(wanted)}")
        return found

    def _on_removed(self, mode: str) -> list[str]:
        able = self._able.on_removed
        return ["nothing", *sorted(able)] if MODES[mode].removed == "on_removed" else ["nothing"]

    def _removing(self, mode: str) -> str:
        """How removed rows are treated where that isn't the point: deleted, if it can be."""
        return "delete" if "delete" in self._on_removed(mode) else "nothing"

    def _idempotent(self, mode: str) -> bool:
        return mode in SETTING or mode in self._able.idempotent

    def _exact(self, mode: str) -> bool:
        """Whether nothing is there twice after an interruption."""
        return MODES[mode].replaces or self._idempotent(mode)

    # -- modes ------------------------------------------------------------------------------------

    def test_insert(self) -> None:
        """New rows arrive once; changes and removals are left alone."""
        for mode in self._modes("insert"):
            with Trial(self, mode) as trial:
                trial.put(record(1), record(2))
                trial.succeeds()
                trial.expect([record(1), record(2)], "at first")
                trial.put(record(1, 1), record(3))
                trial.drop(2)
                trial.settles()
                trial.expect([record(1), record(2), record(3)], "after a change and a removal")

    def test_update(self) -> None:
        """Records that exist are changed, others aren't made, and removed ones treated as asked."""
        for mode in self._modes("update"):
            for on_removed in self._on_removed(mode):
                target = self.target(FIELDS, mode)
                self.seed(target, [record(1), record(2), record(3)])
                with Trial(self, mode, on_removed, target=target) as trial:
                    trial.put(record(1, 1), record(2, 1), record(9, 1))
                    assert trial.run().status in ("success", "warning")
                    trial.expect([record(1, 1), record(2, 1), record(3)], "record 9 was not there before")
                    trial.drop(9, 2)
                    trial.put(record(1, 2))
                    trial.settles()
                    left = {"nothing": [record(2, 1)], "clear": trial.cleared(2), "delete": []}
                    trial.expect([record(1, 2), record(3), *left[on_removed]], "after a removal")

    def test_upsert(self) -> None:
        """The target holds what the model holds, and removed records are treated as asked."""
        for mode in self._modes("upsert"):
            for on_removed in self._on_removed(mode):
                with Trial(self, mode, on_removed) as trial:
                    trial.put(*(record(key) for key in range(1, 6)))
                    trial.succeeds()
                    trial.expect(trial.model.values(), "at first")
                    trial.put(record(1, 1), record(2, name=None, score=None), record(6))
                    trial.drop(3, 4)
                    trial.settles()
                    gone = {"nothing": [record(3), record(4)], "clear": trial.cleared(3, 4), "delete": []}
                    trial.expect([*trial.model.values(), *gone[on_removed]], "after a change")
                    trial.put(record(3, 7))
                    trial.settles()
                    again = [each for each in gone[on_removed] if each["id"] != 3]
                    trial.expect([*trial.model.values(), *again], "after a record came back")

    def test_modes_that_append(self) -> None:
        """Archives and snapshots keep every row of every run."""
        for mode in self._modes("archive", "snapshot"):
            with Trial(self, mode) as trial:
                trial.put(record(1), record(2))
                trial.succeeds()
                trial.put(record(1, 1), record(3))
                trial.succeeds()
                trial.expect([record(1), record(2), *trial.model.values()], "after two runs")

    def test_modes_that_replace(self) -> None:
        """After each run, the target holds the model's rows and no others; none, if there are none."""
        for mode in self._modes(*REPLACING):
            with Trial(self, mode) as trial:
                trial.put(*(record(key) for key in range(1, 8)))
                trial.succeeds()
                trial.expect(trial.model.values(), "at first")
                trial.put(record(1, 1), record(9))
                trial.drop(2, 3)
                trial.succeeds()
                trial.expect(trial.model.values(), "after a change")
                trial.drop(*list(trial.model))
                trial.succeeds()
                trial.expect([], "after every row left")

    def test_diff(self) -> None:
        """The operations, applied one after the other, come to the model."""
        for mode in self._modes("diff"):
            with Trial(self, mode) as trial:
                trial.put(*(record(key) for key in range(1, 8)))
                trial.settles()
                trial.expect(trial.content(), "at first")
                trial.put(record(1, 1), record(9))
                trial.drop(2, 3)
                trial.settles()
                trial.expect(trial.content(), "after a change")
                trial.put(record(2, 5))
                trial.drop(1)
                trial.settles()
                trial.expect(trial.content(), "after a record came back")

    def test_an_empty_model(self) -> None:
        """A run without rows succeeds and leaves nothing, at first and at last."""
        for mode in self._modes("upsert", "insert", "diff", "archive", "snapshot", *REPLACING)[:2]:
            with Trial(self, mode, self._removing(mode)) as trial:
                trial.succeeds()
                trial.expect([], "before there was a row")
                trial.put(record(1))
                trial.succeeds()
                trial.expect([record(1)])

    # -- values -----------------------------------------------------------------------------------

    def test_values_arrive_as_they_are(self) -> None:
        """Hostile text, long numbers, dates, JSON, bytes and NULL, of each kind that it takes."""
        mode = self._modes("upsert", "insert", "archive", "snapshot", "diff", *REPLACING)[0]
        fields = {"id": "integer", **{f"a_{kind}": kind for kind in self.kinds}}
        columns = {f"a_{kind}": VALUES[kind] for kind in self.kinds}
        first = 2**53 if "integer" in self.kinds else 0
        rows = [
            {"id": first + at, **{name: values[at % len(values)] for name, values in columns.items()}}
            for at in range(max(map(len, columns.values())))
        ]
        rows.append({"id": first + len(rows), **dict.fromkeys(columns)})
        with Trial(self, mode, fields=fields) as trial:
            trial.put(*rows)
            trial.succeeds()
            trial.expect(rows)
            if MODES[mode].cdc:
                trial.succeeds()
                assert not trial.watch.rows, "rows that had arrived were sent again"

    def test_keys_of_text(self) -> None:
        """Keys with quotes, other alphabets, spaces and both cases name their own record, and no other."""
        if "text" not in self.kinds:
            pytest.skip("it takes no text")
        for mode in self._modes("upsert", "diff", *REPLACING)[:2]:
            with Trial(self, mode, self._removing(mode), fields={**FIELDS, "id": "text"}) as trial:
                trial.put(*({**record(at), "id": key} for at, key in enumerate(KEYS)))
                trial.succeeds()
                trial.expect(trial.content(), "at first")
                trial.put(*({**record(at, 1), "id": key} for at, key in enumerate(KEYS[::2])))
                trial.drop(*KEYS[1::2])
                trial.succeeds()
                trial.expect(trial.content(), "after a change and removals")

    # -- batches ----------------------------------------------------------------------------------

    def test_batches_of_the_declared_size(self) -> None:
        """A batch that is full (or has 1000 rows), and one more row, of each operation."""
        mode = self._modes("upsert", "insert", "archive", "snapshot", "diff", *REPLACING)[0]
        able = self._able
        rows = 1 if "added" in able.single else able.batch_rows
        keys = range(min(rows, 1000) + 1)
        with Trial(self, mode, self._removing(mode), batch_rows=None, chunk_rows=100_000) as trial:
            trial.put(*map(record, keys))
            trial.succeeds()
            trial.expect(trial.model.values())
            assert max(size for _operation, size in trial.watch.rows) <= rows
            if MODES[mode].cdc and mode != "insert":
                trial.put(*(record(key, 1) for key in keys))
                trial.succeeds()
                trial.expect(trial.content(), "after changes")
                trial.drop(*keys)
                trial.succeeds()
                trial.expect(trial.content(), "after removals")

    def test_calls_beside_each_other(self) -> None:
        """As many threads as it declares, up to eight, write at once; nothing is lost."""
        mode = self._modes("upsert", "insert", "archive", "diff", "snapshot", *REPLACING)[0]
        able = self._able
        threads = min(8, able.max_concurrency)
        with Trial(self, mode, self._removing(mode), concurrency=threads, chunk_rows=1000) as trial:
            trial.put(*(record(key) for key in range(40)))
            trial.succeeds()
            assert trial.watch.most_at_once <= threads
            if MODES[mode].cdc and mode != "insert":
                trial.put(*(record(key, 1) for key in range(5, 45)))
                trial.drop(*range(5))
                trial.succeeds()
            trial.expect(trial.content())

    # -- what goes wrong --------------------------------------------------------------------------

    def test_a_rejected_row_costs_only_itself(self) -> None:
        """It is told by its position, with a reason; once it is mended, it alone is sent."""
        if self.refused is None:
            pytest.skip("no record is known that it rejects (refused)")
        for mode in self._modes("upsert", "insert", "diff"):
            with Trial(self, mode, batch_rows=min(4, self._able.batch_rows)) as trial:
                trial.put(*(record(key) for key in range(1, 9)))
                trial.put(record(3, **self.refused), record(8, **self.refused))
                run = trial.run()
                assert run.status == "warning", f"mode {mode}: {run.status}, {run.error}"
                refusals = sorted(trial.refusals(run))
                assert [row_id for row_id, _reason in refusals] == ["3", "8"], f"mode {mode}: {refusals}"
                assert all(reason.strip() for _row_id, reason in refusals), f"mode {mode}: no reason is given"
                taken = [each for key, each in trial.model.items() if key not in (3, 8)]
                trial.expect(taken, "records 3 and 8 are refused")
                trial.put(record(3, 1), record(8, 1))
                trial.succeeds()
                assert sum(size for _operation, size in trial.watch.rows) == 2
                trial.expect(trial.model.values(), "after records 3 and 8 were mended")

    def test_a_repeated_call_has_no_second_effect(self) -> None:
        """In modes that it declares idempotent, and in those that set values; removals always."""
        for mode in self._modes():
            if not self._idempotent(mode):
                continue
            with self._prepared(mode) as trial:
                trial.succeeds(fault=_always(twice))
                trial.expect(trial.content(), "every call came twice, at first")
                trial.put(record(1, 1) if mode == "update" else record(9))
                if mode != "insert":
                    trial.drop(3)
                trial.succeeds(fault=_always(twice))
                trial.expect(trial.content(), "every call came twice")

    def test_what_an_interruption_left_open_is_sent_again(self) -> None:
        """Calls fail before their effect, or after it when nobody knows; repeats and the next run mend it."""
        for mode in self._modes("upsert", "update", "insert", "diff", *REPLACING):
            with self._prepared(mode) as trial:
                trial.succeeds(fault=lambda number: usual if number % 3 == 2 else unmade)
                trial.expect(trial.content(), "after calls whose first two attempts were not made")
                for turn, fault in enumerate((lost, crashed, unmade), 1):
                    changed = () if mode == "insert" else (record(1, turn), record(2, turn))
                    trial.put(*changed, *(() if mode == "update" else (record(10 * turn),)))
                    settled = (
                        ("success",) if self._able.jobs and fault is not unmade else ()
                    )  # the job is found
                    assert trial.run(fault=_always(fault)).status in ("failed", "warning", *settled)
                    trial.succeeds()
                    when = f"after calls that were {fault.__name__}"
                    trial.expect(trial.content(), when, repeats=not self._exact(mode))

    def test_it_recovers_from_what_its_target_does(self) -> None:
        """Each fault of the target disturbs one run; after that, everything arrives."""
        mode = self._modes("upsert", "insert", "diff", *REPLACING)[0]
        names = list(self.disturbances(self.target(FIELDS, mode)))
        if not names:
            pytest.skip("no fault of its target is known (disturbances)")
        for name in names:
            with self._prepared(mode) as trial:
                with self.disturbances(trial.target)[name]:
                    self._tried(trial)
                trial.succeeds()
                trial.expect(trial.content(), name, repeats=not self._exact(mode))

    def _prepared(self, mode: str) -> Trial:
        """A trial with some records in its model, which the target has for mode ``update``."""
        target = self.target(FIELDS, mode)
        if mode == "update":
            self.seed(target, [record(key) for key in range(1, 9)])
        trial = Trial(self, mode, self._removing(mode), target=target)
        trial.put(
            *(record(key, 0 if mode != "update" else 5) for key in range(1, 9 if mode == "update" else 5))
        )
        return trial

    def _tried(self, trial: Trial, **options: Any) -> None:
        """A run that may fail, as long as it tells no secret."""
        try:
            trial.run(**options)
        except CdcError as error:
            self.discreet(f"{error} {error!r}")

    def test_a_destination_that_cannot_be_used_says_so(self) -> None:
        """It raises one of this library's errors, or ends the run with one, and tells no secret."""
        made = self.unusable()
        if made is None:
            pytest.skip("no way is known to make it unusable (unusable)")
        mode = sorted(made.capabilities.modes)[0]
        with Trial(self, mode, destination=made) as trial:
            trial.put(record(1))
            try:
                run = trial.run()
                assert run.status == "failed" and run.error
            except CdcError as error:
                assert error.hint or error.message
                self.discreet(f"{error} {error!r} {error.__cause__!r}")
            trial.expect([])

    # -- publishing -------------------------------------------------------------------------------

    def test_nothing_takes_effect_before_it_is_published(self) -> None:
        """In modes that publish: a unit is there whole, or not at all."""
        modes = [mode for mode in self._modes() if self._made.publishes(mode)]
        if not modes:
            pytest.skip("it publishes in no mode")
        for mode in modes:
            with Trial(self, mode) as trial:
                trial.put(record(1), record(2))
                trial.succeeds()
                before = trial.held()
                trial.put(record(1, 1), record(3))
                seen: list[list[Record]] = []

                def look(operation: str, trial: Trial = trial, seen: list[list[Record]] = seen) -> None:
                    seen.append(trial.held())

                trial.run(before_publishing=look, publishing=_always(unmade))
                for held in (*seen[:1], trial.held()):
                    compare(held, before, f"mode {mode}: nothing was published yet")
                assert seen, f"mode {mode}: nothing was published"
                trial.succeeds()
                if mode == "diff" or MODES[mode].replaces:
                    trial.expect(trial.content(), "after the next run")

    # -- crashes ----------------------------------------------------------------------------------

    def test_killed_in_delivery(self) -> None:
        """A process that is killed before, inside and after its calls: the next run converges."""
        if not self.durable:
            pytest.skip("its target ends with the process (durable)")
        if not hasattr(os, "fork"):
            pytest.skip("processes can't fork here")
        made = self._made
        modes = self._modes("upsert", "insert", "diff", "archive", "snapshot", *REPLACING)
        publishing = [mode for mode in modes[1:] if made.publishes(mode)]
        with Mortals(type(self)) as mortals:
            for mode in [modes[0], *publishing[-1:]]:
                self._killed(mode, made.publishes(mode), mortals)

    def _killed(self, mode: str, publishes: bool, mortals: Mortals) -> None:
        moments = [("write 0", 1), ("write 0.3", 0), ("write 0.7", 1), ("write 1", 1)]
        if publishes:
            moments = [("write 0.5", 1), ("publish 0.5", 0), ("publish 1", 0)]
        with Trial(self, mode, self._removing(mode), file=self.folder / f"{mode}.duckdb") as trial:
            trial.put(*(record(key) for key in range(1, 10)))
            trial.succeeds(counted=trial.watched_files)
            lines = trial.watch.lines
            for turn, (moment, call) in enumerate(moments, 1):
                before = trial.held()
                trial.put(*(record(key, turn) for key in range(1, 10)))
                trial.put(*(record(20 * turn + key) for key in range(4)))
                if mode != "insert":
                    trial.drop(20 * (turn - 1))
                trial.close()
                try:
                    mortals.killed(trial, moment, call, lines)
                finally:
                    trial.open()
                when, killed = f"killed in {moment}, call {call}", trial.held()
                trial.succeeds()
                new = trial.as_shown(trial.model.values())
                if MODES[mode].replaces and len(killed) == len(before):
                    compare(killed, before, f"{when}: it was not published")
                elif MODES[mode].replaces:
                    compare(killed, new, f"{when}: it was published whole")
                if MODES[mode].cdc or MODES[mode].replaces:
                    trial.expect(trial.content(), when, repeats=not self._exact(mode))
                    continue
                extra = without(without(trial.held(), before), new)
                if publishes and extra:
                    compare(extra, new, f"{when}: it was published whole")
                assert not without(extra, new), f"{when}: {extra} came more often than twice"

    # -- histories --------------------------------------------------------------------------------

    def test_any_history_converges(self) -> None:
        """Rows come, change and go while calls fail at random; after a run without faults, all is well."""
        families = (("upsert", "update"), ("insert",), ("diff",), REPLACING)
        declared = self._modes()
        modes = [found[0] for family in families if (found := [m for m in family if m in declared])]
        if not modes:
            pytest.skip("it only appends")
        for mode in modes:
            self._any_history(mode)

    def _any_history(self, mode: str) -> None:
        @settings(
            max_examples=self.examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(steps=STEPS)
        def converges(steps: list[dict[str, Any]]) -> None:
            self._history(mode, steps)

        converges()

    def _history(self, mode: str, steps: list[dict[str, Any]]) -> None:
        drops = mode == "diff" or MODES[mode].replaces or self._removing(mode) == "delete"
        with self._prepared(mode) as trial:
            trial.succeeds()
            versions = {key: [each] for key, each in trial.model.items()}
            for step in steps:
                trial.put(*(record(key, version) for key, version in step["put"].items()))
                if drops and mode != "update":
                    trial.drop(*step["drop"])
                for key, each in trial.model.items():
                    versions.setdefault(key, []).append(each)
                disturbances = list(self.disturbances(trial.target).values())
                disturbed = step["disturbance"] < len(disturbances)
                with disturbances[step["disturbance"]] if disturbed else nullcontext():
                    self._tried(
                        trial, fault=_in_turn(step["faults"]), publishing=_in_turn(step["publishing"])
                    )
            if MODES[mode].cdc:
                trial.settles()
            else:
                trial.succeeds()
            if mode != "insert":
                trial.expect(trial.model.values(), "at last")
                return
            held = trial.held()
            assert {str(each["id"]) for each in held} == {str(key) for key in trial.model}
            sent = trial.as_shown(each for of_one in versions.values() for each in of_one)
            assert all(each in sent for each in held), "a record has values that no version of it had"


def _always(fault: Fault) -> Callable[[int], Fault]:
    return lambda number: fault


def _in_turn(faults: Sequence[Fault]) -> Callable[[int], Fault]:
    return lambda number: faults[number] if number < len(faults) else usual
