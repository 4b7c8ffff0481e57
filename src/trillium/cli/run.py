"""A batch as a trio run of its own: with its progress shown, and stopped by signals.

Whatever ends it, the caller gets a `Ran`, so that the summary is the same for all endings.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, final

import attrs
import trio

from trillium._batch.answer_cache import AnswerCache
from trillium._batch.placed import Placed
from trillium._batch.progress import Progress
from trillium._batch.record import Record
from trillium._batch.run import Batch
from trillium._batch.statistics import Stop
from trillium._call.nurseries import open_private_nursery
from trillium._money.budget import Budget
from trillium._money.cost import BatchCost
from trillium._transport.open_files import permit_more
from trillium.cli.answers import Answers, Watch
from trillium.cli.progress_line import Display, show_progress
from trillium.cli.terminal import complain
from trillium.client import Client
from trillium.errors import UsageError
from trillium.limits import LimitReport
from trillium.messages import Request

STOPPING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
GARBAGE_OBJECTS: Final = 50_000
"""So many objects more than before let Python look for cycles among the new ones: some 10 MB."""


@final
@attrs.frozen(kw_only=True)
class Job:
    """What is to be run."""

    client: Client
    requests: Iterable[Request | Placed] | AsyncIterable[Request]
    total: int | None
    """How many requests there are, if that is known."""
    concurrency: int | None
    """How many may be in flight at most; None: it is found out."""
    ordered: bool = False
    deadline_s: float | None = None
    budget: Budget | None = None
    display: Display
    record: Record | None = None
    """The journal that outcomes go to."""
    grace_s: float = 0.0
    """How long requests in flight may take to end after the first signal."""
    dedupe: bool = False
    """Whether equal requests are asked once."""
    cache: AnswerCache | None = None
    """Answers of other jobs."""


@final
@attrs.define(kw_only=True)
class Ran:
    """What became of a run."""

    progress: Progress = attrs.field(factory=lambda: Progress(started_at=0.0))
    elapsed_s: float = 0.0
    cost: BatchCost = attrs.field(factory=BatchCost)
    stop: Stop | None = None
    """Why the batch ended early by itself."""
    signal: signal.Signals | None = None
    """The signal that ended it."""
    reader_gone: bool = False
    """Whether it ended because nobody reads standard output any more."""
    error: UsageError | None = None
    """What ended it: a bad line of a stream, an output that cannot be written."""
    limits: Sequence[LimitReport] = ()
    """What is known of limits at its end."""
    batch: Batch | None = None
    """The batch, from when it is entered."""


def run_job(job: Job, answers: Answers | None) -> Ran:
    """Run a batch to whatever end, and return what became of it.

    Args:
        job: What is to be run.
        answers: Where outcomes go; left open. None only counts them.
    """
    ran = Ran()
    permit_more()  # else a shell's bound on open files may be met sooner than the provider's
    with _collecting_rarely():
        trio.run(_run_job, job, answers, ran)
    return ran


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Let garbage with cycles lie for longer, of which a run makes hardly any.

    Requests in flight are some ten thousand objects, and Python looks for cycles in the newest of
    them each time that 700 more were made than dropped: 3 % of a job with 100 in flight, 12 % of
    one with 1,000. What was imported is not looked at again.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


async def _run_job(  # noqa: ASYNC910  # the root of a run
    job: Job, answers: Answers | None, ran: Ran
) -> None:
    started_at = trio.current_time()
    ran.progress = Progress(total=job.total, started_at=started_at)
    try:
        async with open_private_nursery() as nursery:
            await nursery.start(stop_on_signal, nursery.cancel_scope, ran, job.grace_s)
            nursery.start_soon(show_progress, ran.progress, job.display)
            if answers is not None:
                nursery.start_soon(answers.write_as_they_come)
            await _answer(job, answers, ran)
            if answers is not None:
                await answers.wait_all_written()
            nursery.cancel_scope.cancel()
    except BrokenPipeError:
        ran.reader_gone = True
    except UsageError as error:
        ran.error = error
    ran.elapsed_s = trio.current_time() - started_at


async def _answer(job: Job, answers: Answers | None, ran: Ran) -> None:
    async with job.client as client:
        batch = client.batch(
            job.requests,  # type: ignore[arg-type]  # a place of one's own is for this door alone
            concurrency=job.concurrency,
            ordered=job.ordered,
            deadline_s=job.deadline_s,
            budget=job.budget,
            observer=Watch(ran.progress, answers, is_draining=lambda: ran.signal is not None),
            journal=job.record,
            dedupe=job.dedupe,
            cache=job.cache,
        )
        try:
            async with batch:
                ran.batch = batch
                async for outcome in batch:
                    if ran.signal is not None and not _in_flight(batch):
                        break  # what is left was not sent
                    if answers is None:
                        continue
                    answers.take(outcome)
                    if answers.is_full:
                        await answers.wait_for_room()
                ran.stop = batch.stopped
        finally:
            ran.cost, ran.limits = batch.cost, client.limits()


def _in_flight(batch: Batch) -> int:
    now = batch.statistics()
    return now.in_flight + now.backing_off


async def stop_on_signal(  # noqa: ASYNC114  # no open_ before its name: it opens nothing
    scope: trio.CancelScope,
    ran: Ran,
    grace_s: float,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Drain at the first signal, cancel at the second; the next one has its usual effect.

    Args:
        scope: What is cancelled.
        ran: Whose batch is drained; it is told of the signal.
        grace_s: How long what is in flight may take.
        task_status: Told when signals are heard.
    """
    with trio.open_signal_receiver(*STOPPING_SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            again, ran.signal = ran.signal is not None, ran.signal or signal.Signals(number)
            in_flight = 0 if ran.batch is None else _in_flight(ran.batch)
            if again or not in_flight or not grace_s:
                scope.cancel()
                return
            assert ran.batch is not None
            ran.batch.drain()
            scope.deadline = trio.current_time() + grace_s
            complain(
                f"stopping: {in_flight:,} in flight may take up to {grace_s:g} s; "
                "the next signal ends it at once"
            )
