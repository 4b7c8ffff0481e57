"""The tasks that carry admitted calls to their outcomes."""

from __future__ import annotations

import contextvars
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import final

import trio

from trillium._batch.journal_writer import JournalWriter
from trillium._batch.queues import RouteQueue
from trillium._call.call import Call
from trillium._call.deadline_watch import DeadlineWatch
from trillium._call.route import Route
from trillium.completions import Outcome


@final
class BatchWorkers:
    """Tasks of one batch: each takes an admitted call and, when that is done, the next.

    They are started when there is more to do than workers, and end when there is less. A task of
    its own for each call would cost 18 µs more on each.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        queues: Mapping[Route, RouteQueue],
        *,
        started: Callable[[Call], object],
        ended: Callable[[Call, Outcome], object],
        writer: JournalWriter | None,
    ) -> None:
        """Start nothing yet.

        Args:
            nursery: Of the batch.
            queues: Where each route's next call stands.
            started: Told of each call before it is run ...
            ended: ... and of what came of it.
            writer: Of the journal, which may hold up who has ended a call.
        """
        self._nursery = nursery
        self._queues = queues
        self._started = started
        self._ended = ended
        self._writer = writer
        self._context = contextvars.copy_context()
        self._admitted: deque[Call] = deque()
        self._reusable = 0
        self._watch = DeadlineWatch(self._start_watch)

    def start(self, call: Call) -> None:
        """See to it that an admitted call is run."""
        self._started(call)
        self._admitted.append(call)
        if self._reusable:
            self._reusable -= 1
        else:
            # Whoever lets a ticket go starts it, yet in the context of the batch.
            self._context.run(self._nursery.start_soon, self._work)

    async def _work(self) -> None:  # noqa: ASYNC910  # a call is one, unless it is not sent
        call: Call | None = self._admitted.popleft()
        watched = self._watch.open()
        try:
            while call is not None:
                # One scope for the attempts of many calls, until it has fired.
                with watched.renew() as scope:  # noqa: ASYNC912
                    while call is not None and not watched.fired:
                        outcome = await call.run(watched)
                        self._ended(call, outcome)
                        if self._writer is not None and self._writer.holds_up:
                            watched.deadline = math.inf
                            await self._writer.wait_caught_up()
                        call = self._next_after(call)
                if scope.cancelled_caught and call is not None:
                    call.attempt_timed_out()
        except BaseException:
            if call is not None:
                call.let_go()
            raise
        finally:
            self._watch.close(watched)

    def _next_after(self, call: Call) -> Call | None:
        """Return the call that this worker goes on with, if there is one."""
        # No checkpoint here: what the ticket lets go now, this worker takes.
        if call.account is None:
            heir = self._queues[call.route].take_over(call.ticket)
            if heir is not None:
                self._started(heir)
                return heir
        self._reusable = 1
        call.let_go()
        if self._reusable:
            self._reusable = 0
            return None
        return self._admitted.popleft()

    def _start_watch(self) -> None:
        # From the first call's task, yet in the context of the batch.
        self._context.run(self._nursery.start_soon, self._watch.run)
