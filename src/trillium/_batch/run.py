"""A batch: many requests, one outcome each.

```text
source ─▶ feeder ─▶ queue ─▶ admission ─▶ worker ─▶ ready ─▶ consumer
          (a task)  (a route's)           (tasks)   (as completed, or in input order)
```

The *window* bounds how far the feeder reads ahead of the consumer: a request has a place in
it from being read to being taken by the consumer. One that backs off lends its place to
another, up to as many again as the window has, so memory depends on the window alone.

When the batch stops early nothing new is sent; what is in flight is delivered, and then the
feeder turns what is left of the source into failures of kind `not_sent`, no faster than the
consumer takes them.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Self, final

import trio

from trillium._batch.bounds import bounds_of
from trillium._batch.ended_routes import EndedRoutes
from trillium._batch.feeder import MIN_READ_AT_ONCE, Feeder, Window
from trillium._batch.journal_writer import JournalWriter
from trillium._batch.options import BatchOptions
from trillium._batch.order import Completed, InOrder
from trillium._batch.placed import Placed
from trillium._batch.queues import RouteQueue
from trillium._batch.reuse import open_files
from trillium._batch.statistics import BatchStatistics, Stop, StopCause, Tally
from trillium._batch.unsent import unsent
from trillium._batch.waiter import Waiter
from trillium._batch.workers import BatchWorkers
from trillium._call.account import open_account
from trillium._call.call import Call, new_call
from trillium._call.nurseries import open_private_nursery
from trillium._call.route import Route
from trillium._money.budget import REFUSED
from trillium._money.cost import BatchCost
from trillium._policy.deadlines import DeadlineTerms
from trillium.completions import Failure, Outcome
from trillium.errors import ErrorKind, InvalidRequestError, TrilliumError, UsageError
from trillium.limits import Limits
from trillium.messages import Message, Request, as_request

OUTSIDE: Final = "a batch is used in its block: async with client.batch(...) as batch"


def _drop(queue: RouteQueue, call: Call) -> None:
    """Do nothing with a request: in a queue that nobody empties any more its turn would be lost."""


@final
class Batch:
    """Many requests in flight: an async context manager, and an async iterator of outcomes.

    Made by `Client.batch`. Leaving the block cancels what is left. An iteration that comes to
    its end has given exactly one outcome for each request of the source. If the source raises,
    nothing new is sent, what is in flight is delivered, and then that error is raised.
    """

    def __init__(
        self,
        source: Iterable[str | Message | Request] | AsyncIterable[str | Message | Request],
        *,
        route_of: Callable[[Request], Route],
        options: BatchOptions,
    ) -> None:
        self._route_of = route_of
        self._options = options
        self._record = options.record
        self._bounds = bounds_of(options.concurrency, adaptive=options.adaptive)
        self._writer: JournalWriter | None = None
        self._reuse = options.reuse
        self._window = Window.of(options.expected_concurrency, is_recorded=self._record is not None)
        self._feeder = Feeder(
            source,
            self._take,
            self._window,
            read_at_once=max(MIN_READ_AT_ONCE, options.expected_concurrency),
            may_read=self._may_read,
        )
        self._deadline = math.inf
        self._terms = DeadlineTerms(timeouts=options.timeouts)
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None
        self._workers: BatchWorkers | None = None

        self._default_route: Route | None = None
        self._queues: dict[Route, RouteQueue] = {}
        self._ready: Completed | InOrder = InOrder() if options.ordered else Completed()
        self._append: Callable[[RouteQueue, Call], None] = (
            RouteQueue.append if options.purse is None else self._append_paid
        )
        self._tally = Tally()
        self._ended = EndedRoutes()
        self._stop: Stop | None = None
        self._consumer = Waiter()
        self._left = False

    async def __aenter__(self) -> Self:
        if self._manager is not None:
            raise UsageError("a batch is entered once: make another one with client.batch(...)")
        options = self._options
        if options.deadline_s is not None:
            self._deadline = trio.current_time() + options.deadline_s
        self._terms = DeadlineTerms(
            timeouts=options.timeouts,
            batch_at=self._deadline,
            batch_s=math.inf if options.deadline_s is None else options.deadline_s,
        )
        await open_files(self._record, self._reuse)
        self._manager = open_private_nursery()
        self._nursery = await self._manager.__aenter__()
        if self._record is not None:
            self._writer = self._record.start(
                self._nursery,
                in_flight=lambda: self._tally.working,
                give_out=self._give_out,
                failed=self._record_failed,
            )
        self._workers = BatchWorkers(
            self._nursery,
            self._queues,
            started=self._started,
            ended=self._end,
            writer=self._writer,
        )
        if self._reuse is not None:
            self._reuse.start(self._nursery, deliver=self._deliver, ask=self._ask)
        self._nursery.start_soon(self._feed, name="trillium batch: feeder")
        if self._deadline != math.inf:
            self._nursery.start_soon(self._keep_deadline, name="trillium batch: deadline")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._manager is not None
        assert self._nursery is not None
        self._left = True
        self._append = _drop  # the feeder may have one turn more before it is cancelled
        self._consumer.wake()  # a task that iterates elsewhere: nothing more comes
        self._empty_queues()
        self._nursery.cancel_scope.cancel()
        record = self._record
        try:
            # It waits for the batch's own tasks alone, and those are cancelled.
            suppressed = await self._manager.__aexit__(kind, error, traceback)  # noqa: ASYNC102
        finally:
            if self._reuse is not None:
                await self._reuse.aclose()  # noqa: ASYNC102  # as the next
            if record is not None:
                await record.aclose(  # noqa: ASYNC102  # bounds what it shields by itself
                    finished=error is None and self._feeder.done and not self._window.taken,
                    settled=not self._tally.working,
                )
        if error is None:
            self._raise_output_error()
        return suppressed

    def _raise_output_error(self) -> None:
        """Raise what ended the journal, if anything did."""
        if self._record is not None and self._record.error is not None:
            raise self._record.error

    def __aiter__(self) -> AsyncIterator[Outcome]:
        return self

    async def __anext__(self) -> Outcome:
        """Return the next outcome.

        Raises:
            UsageError: The batch was not entered, or was left before its end; or two tasks
                iterate over it at once.
        """
        if self._nursery is None:
            raise UsageError(OUTSIDE)
        if self._consumer.is_waiting:
            raise UsageError("two tasks iterate over one batch: let one of them hand outcomes on")
        await trio.lowlevel.checkpoint_if_cancelled()
        while (outcome := self._ready.pop()) is None:
            if self._feeder.done and not self._window.taken:
                self._feeder.raise_error()
                raise StopAsyncIteration
            if self._left:
                raise UsageError(OUTSIDE)
            if self._writer is not None and not self._tally.working:
                self._writer.raise_error()
            await self._consumer.wait()
        self._window.taken -= 1
        self._feeder.wake()
        return outcome

    @property
    def stopped(self) -> Stop | None:
        """Why the batch ended before its source did; None if it did not."""
        if self._stop is not None:
            return self._stop
        return self._ended.stop(self._queues)

    @property
    def unwritten(self) -> list[Outcome]:
        """Outcomes that its journal has not; after an `OutputError`, what to show or save."""
        return [] if self._record is None else self._record.unwritten()

    def drain(self) -> None:
        """Send nothing new: what is in flight is delivered, the rest fails as `not_sent`."""
        self._stop_sending(Stop(StopCause.DRAINED, "the batch was drained"))

    def pause(self) -> None:
        """Send nothing until `resume`. Nothing fails for it; the batch's deadline goes on."""
        self._bounds.pause()

    def resume(self) -> None:
        """Go on after `pause`. Idempotent."""
        self._bounds.resume()

    def set_limits(self, limits: Limits | None = None, *, concurrency: int | None = None) -> None:
        """Change the bounds while it runs; limits also for others at the same endpoints."""
        if concurrency is not None:
            self._widen(self._bounds.set_concurrency(concurrency))
            for route, queue in self._queues.items():
                queue.set_permits(self._bounds.permits(route))
                route.gate.wake()
        if limits is not None:
            self._bounds.set_limits(limits)

    def _widen(self, concurrency: int) -> None:
        if self._window.widen(concurrency):
            self._feeder.wake()

    def statistics(self) -> BatchStatistics:
        """Return where the requests are now."""
        return self._tally.statistics(queued=sum(len(q.calls) for q in self._queues.values()))

    @property
    def cost(self) -> BatchCost:
        """What its outcomes cost so far: in all, and by endpoint and model."""
        return self._tally.costs.cost()

    # From the source into the queues.

    async def _feed(self) -> None:  # noqa: ASYNC910  # the feeder checkpoints as it reads
        await self._feeder.run()
        if self._feeder.error is not None:
            self._fail(self._empty_queues(), "the source of requests raised an error")
        self._consumer.wake()

    def _may_read(self) -> bool:
        # What is in flight comes out before what was never sent.
        return self._stop is None or not self._tally.working

    def _take(self, prompt: str | Message | Request) -> None:
        index = self._tally.read
        if isinstance(prompt, Request):
            request = prompt
        elif isinstance(prompt, Placed):
            index, request = prompt.index, as_request(prompt.request)
        elif isinstance(prompt, str | Message):
            request = as_request(prompt)
        else:
            kind = type(prompt).__name__
            raise InvalidRequestError(
                f"request {index} of the source is a {kind}: give text or a Request"
            )
        refusal = ""
        # Looked up once for all those that name no model.
        route = self._default_route if request.model is None else None
        if route is None:
            try:
                route = self._route_of(request)
            except InvalidRequestError as error:
                refusal = str(error)
            if request.model is None:
                self._default_route = route
        # From here on it has a place, and an outcome; what else was raised ended the source.
        self._tally.read += 1
        self._window.taken += 1
        if route is None:
            self._deliver(unsent(index, request, None, refusal, ErrorKind.INVALID_REQUEST))
            return
        if self._record is not None:
            try:
                restored = self._record.restore(index, request, route)
            except TrilliumError:
                self._window.taken -= 1
                raise
            if restored is not None:
                self._tally.count(restored)
                self._give_out(restored)  # it is on the disk
                return
        if self._reuse is None or not self._reuse.takes(index, request, route):
            self._ask(index, request, route)

    def _ask(self, index: int, request: Request, route: Route) -> None:
        """Put a request into its queue, if it can still be sent."""
        queue = self._queues.get(route)
        if queue is None:
            assert self._workers is not None
            permits = self._bounds.permits(route)
            queue = self._queues[route] = RouteQueue(
                route, self._workers.start, self._start_timer, self._out_of_money, permits
            )
            self._bounds.add(route)
        if self._stop is not None or self._ended.any:
            reason = self._ended.why(route) if self._stop is None else self._stop.message
            if reason is not None:
                if self._stop is None:
                    self._ended.spare(route, 1)
                self._deliver(unsent(index, request, route, reason))
                return
        ticket = queue.ticket(request)
        why = route.why_never(ticket)
        if why is not None:
            self._deliver(unsent(index, request, route, why, ErrorKind.INVALID_REQUEST))
            return
        observer = self._options.observer
        self._append(queue, new_call(route, request, index, ticket, self._terms, observer, self))

    def _append_paid(self, queue: RouteQueue, call: Call) -> None:
        route, request, purse = call.route, call.request, self._options.purse
        assert purse is not None
        try:
            body = route.encode(request, stream=self._terms.timeouts.needs_stream)
            call.account = open_account(purse, route, body, age=call.ticket.age)
        except InvalidRequestError as error:
            kind = ErrorKind.INVALID_REQUEST
            self._deliver(unsent(call.index, request, route, str(error), kind))
        else:
            queue.append(call)

    # From the queues to outcomes.

    def _started(self, call: Call) -> None:
        self._tally.working += 1
        if self._writer is not None:
            self._writer.admit(call.index)

    def _start_timer(self, queue: RouteQueue) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(queue.keep_time, name="trillium batch: timer")

    def _end(self, call: Call, outcome: Outcome) -> None:
        """Deliver an outcome, and draw conclusions."""
        self._tally.working -= 1
        # What was streamed has another body than the one that the journal knows a request by.
        body = b"" if self._terms.timeouts.needs_stream else call.body
        self._deliver(outcome, call.request, call.route, body)
        if not outcome.success:
            self._note_failure(call, outcome)
        elif self._bounds.adaptive:
            self._widen(self._bounds.grown(call.route))

    def backoff_began(self) -> None:
        """Lend the place of a request that backs off to another (a call's `Seat`)."""
        self._tally.backing_off += 1
        self._window.lent += 1
        self._feeder.wake()

    def backoff_ended(self) -> None:
        """Take the place back."""
        self._tally.backing_off -= 1
        self._window.lent -= 1

    # What is done.

    def _deliver(
        self,
        outcome: Outcome,
        request: Request | None = None,
        route: Route | None = None,
        body: bytes = b"",
    ) -> None:
        self._tally.count(outcome)
        if self._options.observer is not None:
            self._options.observer.outcome(outcome, request=request)
        forgotten = self._stop is not None and self._stop.forgets(outcome)
        if self._writer is not None and not forgotten:
            self._writer.append(outcome, request, route, body)
        else:
            self._give_out(outcome)
        if self._reuse is not None:
            self._reuse.ended(outcome)
        if self._stop is not None:
            self._feeder.wake()

    def _give_out(self, outcome: Outcome) -> None:
        if self._ready.push(outcome):
            self._consumer.wake()

    def _record_failed(self) -> None:
        """Admit nothing more: what would be answered could not be kept."""
        self._window.size = -1
        self._window.taken -= len(self._empty_queues())
        self._consumer.wake()

    def _empty_queues(self) -> list[Call]:
        """Take all that was not sent out of the queues, before others learn of its money."""
        calls = [call for queue in self._queues.values() for call in queue.empty()]
        if self._options.purse is not None:
            self._options.purse.wake()
        for gate in {route.gate for route in self._queues}:
            gate.wake()  # who waited behind one of ours for quota has to keep the time now
        return calls

    def _fail(self, calls: list[Call], reason: str) -> None:
        for call in calls:
            self._deliver(unsent(call.index, call.request, call.route, reason))

    # Ends before the end.

    async def _keep_deadline(self) -> None:
        await trio.sleep_until(self._deadline)
        self._stop_at_deadline()

    def _stop_at_deadline(self) -> None:
        message = f"the batch's deadline of {self._options.deadline_s:g} s had passed"
        self._stop_sending(Stop(StopCause.DEADLINE, message))

    def _stop_sending(self, stop: Stop) -> None:
        if self._stop is not None:
            return
        self._stop = stop
        self._fail(self._empty_queues(), stop.message)
        self._feeder.stop()

    def _out_of_money(self, queue: RouteQueue) -> None:
        purse = self._options.purse
        assert purse is not None
        assert purse.refusal is not None
        if not self._options.goes_on_with_the_cheaper:
            self._stop_sending(Stop(StopCause.BUDGET, purse.refusal))
            return
        self._ended.cannot_pay(queue.route, purse.refusal)
        self._fail(queue.empty(), purse.refusal)
        purse.wake()  # others may have waited behind the head
        queue.route.gate.wake()

    def _note_failure(self, call: Call, failure: Failure) -> None:
        """End early what a fault has doomed: all of its endpoint, or of a model on it."""
        if failure.error.kind is ErrorKind.BATCH_DEADLINE:
            self._stop_at_deadline()  # of the tasks that it wakes, the one for it may be the last
        if call.account is not None and call.account.claim.state is REFUSED:
            self._out_of_money(self._queues[call.route])  # its next attempt was not held
        if not failure.faults:
            return
        if not self._ended.doom(failure.faults[-1], call.route):
            return
        for other, queue in self._queues.items():
            reason = self._ended.why(other)
            if reason is not None:
                doomed = queue.empty()
                self._ended.spare(other, len(doomed))
                self._fail(doomed, reason)
        if self._options.purse is not None:
            self._options.purse.wake()
