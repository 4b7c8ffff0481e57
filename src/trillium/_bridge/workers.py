"""Tasks of the trio thread that run one job after the other.

A task and a cancel scope made for each job would cost 15 µs on each; so a task that is done
waits for the next job, and runs it in the context of whoever asked. Its scope serves until it
was cancelled.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable
from typing import Final, Protocol, final

import trio

MAX_IDLE: Final = 100
"""How many wait for a job at most; each holds some kilobytes."""


class Work(Protocol):
    """What a worker does."""

    def run(self) -> Awaitable[None]:
        """Do it; nothing comes out of it but a cancellation."""


@final
class Workers:
    """The workers of one nursery; only in its own thread."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.idle: list[Worker] = []

    def start(self, work: Work, context: contextvars.Context) -> Worker:
        """Have work done, in this context, by a worker that is idle, or else by a new one."""
        if self.idle:
            worker = self.idle.pop()
            worker.take(work, context)
        else:
            worker = Worker(self, work)
            context.run(self._nursery.start_soon, worker.run)
        return worker


@final
class Worker:
    """One task."""

    __slots__ = ("_scope", "_task", "_work", "_workers")

    def __init__(self, workers: Workers, work: Work) -> None:
        self._workers = workers
        self._work: Work | None = work
        self._scope = trio.CancelScope()
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
            self._scope.cancel()

    async def run(self) -> None:  # noqa: ASYNC910  # it waits between one job and the next
        """Do what there is to do, until there are enough others who wait for more."""
        while self._work is not None:
            # One scope for much work, until it was cancelled.
            with self._scope:
                while self._work is not None:  # also when it was cancelled before it began
                    try:
                        await self._work.run()
                    finally:
                        self._work = None
                    if self._scope.cancel_called:
                        break
                    await self._wait_for_work()
            if self._scope.cancel_called:
                self._scope = trio.CancelScope()
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
