"""Tasks of the trio thread that run one job after the other.

A task and a cancel scope made for each job would cost 15 µs on each; so a task that is done
waits for the next job, and runs it in the context of whoever asked. Its scope serves until it
was cancelled, and the deadlines of calls are set in it.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Awaitable
from typing import Final, Protocol, final

import trio

from trillium._call.deadline_watch import DeadlineWatch, WatchedScope

MAX_IDLE: Final = 100
"""How many wait for a job at most; each holds some kilobytes."""


class Work(Protocol):
    """What a worker does."""

    def run(self, scope: WatchedScope) -> Awaitable[None]:
        """Do it; nothing comes out of it but a cancellation.

        Args:
            scope: Around this; its deadline may be set. If it fires, what is left is run, in
                another scope.
        """

    def abandon(self) -> None:
        """End it where it is: it was cancelled."""


@final
class Workers:
    """The workers of one nursery; only in its own thread."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.idle: list[Worker] = []
        self._context = contextvars.copy_context()
        self.watch: DeadlineWatch = DeadlineWatch(self._start_watch)

    def start(self, work: Work, context: contextvars.Context) -> Worker:
        """Have work done, in this context, by a worker that is idle, or else by a new one."""
        if self.idle:
            worker = self.idle.pop()
            worker.take(work, context)
        else:
            worker = Worker(self, work)
            context.run(self._nursery.start_soon, worker.run)
        return worker

    def _start_watch(self) -> None:
        # From the first job that has a deadline, yet not in its context.
        self._context.run(self._nursery.start_soon, self.watch.run)


@final
class Worker:
    """One task."""

    __slots__ = ("_is_cancelled", "_scope", "_task", "_watched", "_work", "_workers")

    def __init__(self, workers: Workers, work: Work) -> None:
        self._workers = workers
        self._work: Work | None = work
        self._watched = workers.watch.open()
        self._scope = self._watched.scope
        self._is_cancelled = False
        self._task: trio.lowlevel.Task | None = None

    def take(self, work: Work, context: contextvars.Context) -> None:
        """Wake the worker, which is idle, with work to do."""
        task, self._task = self._task, None
        assert task is not None
        self._work = work
        task.context = context
        trio.lowlevel.reschedule(task)

    def cancel(self, work: Work) -> None:
        """Cancel the work, if it is what this worker does now."""
        if self._work is work:
            self._is_cancelled = True
            self._scope.cancel()

    async def run(self) -> None:  # noqa: ASYNC910  # it waits between one job and the next
        """Do what there is to do, until there are enough others who wait for more."""
        watched = self._watched
        try:
            while self._work is not None:
                if not self._is_cancelled:  # else before it began
                    # One scope for much work, until it was cancelled.
                    with watched.renew() as self._scope:  # noqa: ASYNC912
                        await self._work_on(watched)
                if self._is_cancelled and self._work is not None:
                    self._work.abandon()
                    self._work = None
                self._is_cancelled = False
                if self._work is None:
                    await self._wait_for_work()
        except BaseException:
            if self._work is not None:
                self._work.abandon()
            raise
        finally:
            self._workers.watch.close(watched)

    async def _work_on(self, watched: WatchedScope) -> None:  # noqa: ASYNC910  # as `run`
        while self._work is not None:
            await self._work.run(watched)
            self._work = None
            if self._is_cancelled or watched.fired:
                return
            watched.deadline = math.inf
            await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        """Return with work to do; or without, if there are enough others."""
        idle = self._workers.idle
        if len(idle) >= MAX_IDLE:
            return  # noqa: ASYNC910
        self._task = trio.lowlevel.current_task()
        idle.append(self)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            idle.remove(self)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
