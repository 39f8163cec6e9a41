"""What became of the jobs of a run that is gone: their destination is asked, and nothing is sent again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial

import pyarrow as pa

from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.destinations.base import Batch, JobWriter, opened, unknown
from warehouse_cdc.engine.chunks import close_quietly, rejected_rows
from warehouse_cdc.engine.delivery import Part, counted, cut, limits_of, read, rejections_of, values_of
from warehouse_cdc.engine.interruption import Interrupted
from warehouse_cdc.engine.jobs import JobSender
from warehouse_cdc.engine.pool import Pool
from warehouse_cdc.engine.request_log import log_of
from warehouse_cdc.engine.request_table import RequestTable
from warehouse_cdc.engine.sending import Answer, Sent, all_of
from warehouse_cdc.errors import CdcError, DestinationError
from warehouse_cdc.plan.record import Ended, Job

_LOOK = 0.2
"""Seconds between two looks at what has come, and at calls whose time is over."""

Answers = Mapping[str, Answer | None]
"""What jobs brought by their ids; None if there surely never was such a job."""


def settles(part: Part, layout: Layout) -> bool:
    """Whether the jobs' batches can be made again: the sync sends what the plan was made of."""
    record, sync = part.record, part.sync
    return (
        sync.destination.name == record.destination
        and sync.mode == record.mode
        and layout.mapping_version == record.mapping_version
        and {c.name: c.stored for c in layout.columns} == {c.name: c.value for c in record.columns}
    )


def settle(part: Part) -> tuple[Ended, pa.Table | None]:
    """Find out what became of the chunk after the last checkpoint.

    It may be repeated, by this run's successor too: nothing is submitted, and nothing written.

    Args:
        part: The run that is gone, with the lease of the one that closes it.

    Returns:
        Its last checkpoint, that chunk included; and the rejections that belong to it.

    Raises:
        Interrupted: The run was cancelled meanwhile.
        LeaseLostError: Another run may have taken the sync.
    """
    progress = part.generation.progress
    index = progress.delivered
    chunk = part.record.chunks[index]
    spool = read(part, chunk.operation, [(index, chunk)], [chunk.high], whole=False)
    try:
        ((_index, _chunk, rows),) = cut(part, spool.part(0), [(index, chunk)])
        values = values_of(part, chunk.operation, rows)
        whole = Batch(
            context=part.context,
            operation=chunk.operation,
            arrow=values,
            row_ids=rows.column("row_id").to_pylist(),
            key_runs=rows.column("key_run").to_pylist(),
        )
        sent = combined(rows.num_rows, progress.jobs, _answers(part, whole, progress.jobs))
    finally:
        spool.close()
    mark = part.lease.generation.number
    found = [{**row, "op": chunk.operation, "chunk": -mark} for row in rejected_rows(rows, sent)]
    ended = counted(replace(progress, jobs=(), settled_by=mark), index + 1, found)
    return ended, rejections_of(found)


def combined(rows: int, jobs: Sequence[Job], answers: Answers) -> Sent:
    """What became of each row, whose jobs came one after the other."""
    sent = Sent()
    attempts = dict.fromkeys(range(rows), 0)
    tainted: set[int] = set()
    for job in jobs:
        answer = answers[job.id]
        if answer is None:
            continue
        for at, place in enumerate(job.rows):
            attempts[place] += 1
            sent.failures.pop(place, None)
            if (outcome := answer.outcomes.get(at)) is None:
                continue
            if outcome.status == "unknown":
                tainted.add(place)
            own = answer.refuses(at)
            sent.note(place, outcome, attempts[place], tainted=place in tainted, own=own)
    sent.unsent = [place for place, number in attempts.items() if not number]
    return sent


def _answers(part: Part, whole: Batch, jobs: Sequence[Job]) -> Answers:
    batches = [whole.take(job.rows) for job in jobs]
    try:
        writer = opened(part.sync.destination, part.context)
        assert isinstance(writer, JobWriter)
    except CdcError:
        raise  # its jobs can still be asked for, by a run that gets there
    except Exception as error:
        raise DestinationError(
            f"The destination can't be asked for a dead run's jobs ({type(error).__name__}).", retryable=False
        ) from error
    try:
        return _asked(part, writer, batches, jobs)
    finally:
        close_quietly(writer)


def _asked(part: Part, writer: JobWriter, batches: Sequence[Batch], jobs: Sequence[Job]) -> Answers:
    """Ask for several jobs at once, all within the time that one may take."""
    sync = part.sync
    log = log_of(sync, part.context)
    sender = JobSender(sync, writer, limits_of(part), part.lease.check, part.cancelled, log)
    pool = Pool(min(len(jobs), sync.at_once))
    until = time.monotonic() + sync.job_timeout
    answers: dict[str, Answer | None] = {}
    under_way: dict[Future[Answer | None], int] = {}
    for number, (batch, job) in enumerate(zip(batches, jobs, strict=True)):
        under_way[pool.submit(partial(sender.settle, batch, number, job, until))] = number
    try:
        while under_way:
            done, _others = wait(under_way, timeout=_LOOK, return_when=FIRST_COMPLETED)
            if part.cancelled.is_set():
                raise Interrupted
            part.lease.check()
            for future in done:
                number = under_way.pop(future)
                answers[jobs[number].id] = future.result()
            # A call that hangs keeps its thread; what waits behind such calls is over at the latest then.
            late = time.monotonic() > until + sync.batch_timeout
            for future, number in list(under_way.items()):
                if (sent := sender.give_up(number)) is not None or late:
                    del under_way[future]
                    reason = "no answer" if sent is None else next(iter(sent.failures.values()))[1]
                    answers[jobs[number].id] = Answer(all_of(batches[number], unknown(f"job: {reason}")))
    finally:
        sender.close()
        pool.close()
        if log is not None:
            log.close()
    if log is not None and sync.request_log_table:
        RequestTable(part.connection, part.statements, sync, part.context.run_id).write(log.take())
    return answers
