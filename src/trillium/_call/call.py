"""A call: one request from its turn to its outcome, through as many attempts as it takes.

The retry machine decides. This carries out what it says: send, wait, take a turn again, end.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, assert_never, final

import attrs
import trio

from trillium._call.account import Account, open_account, possibly_billed
from trillium._call.admission import TurnWait
from trillium._call.attempt import Attempt, new_attempt
from trillium._call.charges import settle, why_too_late
from trillium._call.deadline_watch import HasDeadline
from trillium._call.failures import failure_of, unsendable
from trillium._call.news import LEFT, settle_and_tell, tell_budgets
from trillium._call.route import Route
from trillium._call.stream_reader import StreamReader, open_reader
from trillium._money.amounts import ZERO
from trillium._money.budget import Purse
from trillium._policy.admission import Ticket
from trillium._policy.deadlines import Deadlines, DeadlineTerms
from trillium._policy.retry import (
    ANSWERED,
    STARTED,
    Answered,
    Decision,
    Failed,
    Finish,
    GiveUp,
    Retry,
    Send,
    State,
    Stopped,
    WaitUntil,
    new_retry,
)
from trillium._policy.retry_policy import THROTTLED_KINDS
from trillium._transport.readiness import Readiness
from trillium._wire.rate_limit_headers import rate_limit_fields
from trillium.completions import Answer, Chunk, Completion, Failure, Outcome, new_completion
from trillium.errors import ErrorKind, Fault, InvalidRequestError, LocalProtocolError
from trillium.messages import Request
from trillium.observers import Observer
from trillium.record_maker import quick_maker

OneAttempt = Callable[[Attempt, HasDeadline], Awaitable[Answer | Chunk | Fault]]
"""How an attempt is made; the scope is around it, and its deadline the attempt's to set."""


class Seat(Protocol):
    """A request's place in the window of the batch that runs it."""

    def backoff_began(self) -> None:
        """The request waits to be sent again: its place may be lent."""

    def backoff_ended(self) -> None:
        """It is about to be sent again."""


@final
@attrs.define(eq=False, repr=False)
class Call:
    """One request on its way; used once.

    The ticket is its turn. It may be held after the call's end: whoever runs the call then
    passes the turn on.
    """

    route: Route
    request: Request
    index: int
    ticket: Ticket
    terms: DeadlineTerms
    observer: Observer | None
    seat: Seat | None = None
    """The batch's; None for a single call, whose clock runs while it waits for its turn."""
    account: Account | None = None
    """Its money, where there is a budget; closed by whoever passes the ticket on."""
    purse: Purse | None = None
    """In the place of an account: what a single call opens one with."""
    body: bytes = attrs.field(default=b"", init=False, repr=False)
    """What is sent, once it has been made; empty before."""
    _decision: Decision | None = attrs.field(default=None, init=False)
    """What is to be done next; None before the first."""
    _deadlines: Deadlines = attrs.field(init=False)
    _retry: Retry = attrs.field(init=False)
    _attempt: Attempt | None = attrs.field(default=None, init=False)
    _attempt_at: float = attrs.field(default=0.0, init=False)
    _ended_at: float = attrs.field(default=0.0, init=False)
    """When the last attempt was over."""
    _chunk_at: float = attrs.field(init=False)
    """When the last chunk was given out, where there is an observer; not set before the first."""

    async def run(self, scope: HasDeadline) -> Outcome:
        """Answer the request, whose turn has come: the ticket is held.

        Args:
            scope: Entered around this, and with no other use: its deadline is set to that of each
                attempt. If it fires, tell `attempt_timed_out`, and run on in another one. (One
                scope serves many calls: it costs 8 µs to make, and 2 to set.)
        """
        streamed = self.terms.timeouts.needs_stream
        if self._decision is None:
            try:
                self.body = self.route.encode(self.request, stream=streamed)
            except InvalidRequestError as error:
                return self._unsendable(error)  # noqa: ASYNC910  # no more of them than the window
            if self.ticket.charge is not None and self.ticket.charge.size is not None:
                why = self.route.why_never(self.ticket)  # the limit may have been learnt since
                if why is not None:
                    return self._unsendable(InvalidRequestError(why))  # noqa: ASYNC910
            now = self._start_clock()
            self._decision = (
                self._retry.advance(STARTED, now)
                if now < self.terms.batch_at
                else self._out_of_time(now)
            )
        found = await self._drive(Attempt.answer_streamed if streamed else Attempt.answer, scope)
        if isinstance(found, Answer):
            return self.completion(found)
        assert isinstance(found, GiveUp)
        return self._failure(found)

    def attempt_timed_out(self) -> None:
        """Take note that the scope of an attempt has fired."""
        kind = self._deadlines.expired(trio.current_time())
        assert kind is not None, "only our own deadline ends the scope"
        self._decision = self._attempt_ended(self._deadlines.fault(kind))

    async def run_in_turn(self, scope: HasDeadline) -> Outcome:
        """Wait for the request's turn, and answer it.

        Args:
            scope: As for `run`.

        Raises:
            InvalidRequestError: It cannot be sent as it is.
        """
        streamed = self.terms.timeouts.needs_stream
        if self._decision is None:
            await self._begin_in_turn(stream=streamed)
        found = await self._drive(Attempt.answer_streamed if streamed else Attempt.answer, scope)
        if isinstance(found, Answer):
            return self.completion(found)
        assert isinstance(found, GiveUp)
        return self._failure(found)

    async def open_stream(self, scope: HasDeadline) -> Chunk | Answer | Failure:
        """Wait for the request's turn, and return what comes first of its stream.

        Until then nothing was given out, so attempts may be made again.

        Args:
            scope: As for `run`.

        Raises:
            InvalidRequestError: It cannot be sent as it is.
        """
        if self._decision is None:
            await self._begin_in_turn(stream=True)
        found = await self._drive(Attempt.first, scope)
        return self._failure(found) if isinstance(found, GiveUp) else found

    async def receive(self, scope: HasDeadline) -> Chunk | Answer | Failure:
        """Return what comes next of the stream.

        Args:
            scope: Entered around this, or a deadline at which `cut` is called. Where a scope has
                fired, what comes next is `stream_timed_out`.
        """
        assert self._attempt is not None
        self.resume()
        found = await self._attempt.receive(scope)
        if isinstance(found, Chunk):
            if self.observer is not None:
                self._tell_next_chunk(self.observer, found)
            return found
        return self._stream_ended(found)

    def resume(self) -> None:
        """Note that the stream is waited for again: what its user did meanwhile is no stall."""
        if self.terms.stall_s != math.inf:
            self._deadlines.progress(trio.current_time())

    def reader(self, readiness: Readiness, deadline: HasDeadline) -> StreamReader | None:
        """Return what reads chunks in the place of `receive`, unobserved; see `open_reader`."""
        assert self._attempt is not None
        return open_reader(self._attempt, readiness, deadline)

    def cut(self) -> None:
        """Close the connection of a stream whose deadline has passed, under whoever reads it."""
        assert self._attempt is not None
        self._attempt.cut()

    def stream_timed_out(self) -> Answer | Failure:
        """Return how a stream ended whose scope has fired."""
        assert self._attempt is not None
        return self._stream_ended(self._attempt.timed_out())

    def _stream_ended(self, found: Answer | Fault) -> Answer | Failure:
        decision = self._attempt_ended(found, delivered=True)
        if isinstance(found, Answer):
            return found
        assert isinstance(decision, GiveUp), "what was given out is not made again"
        return self._failure(decision)

    def let_go(self) -> None:
        """Pass the turn on, and give back what is still held of a budget."""
        if self.account is not None:
            self.account.close()
        if self.observer is not None:
            self._tell_left(self.observer)
        self.route.gate.release(self.ticket)

    async def aclose(self) -> None:  # noqa: ASYNC910  # closing waits for nobody
        """End the stream; one that is not at its end loses its connection."""
        if self._attempt is not None:
            await self._attempt.aclose()

    async def _begin_in_turn(self, *, stream: bool) -> None:
        self.body = self.route.encode(self.request, stream=stream)
        if self.purse is not None:
            age = self.ticket.age
            self.account = open_account(self.purse, self.route, self.body, age=age)
        if (why := self.route.why_never(self.ticket)) is not None:
            raise InvalidRequestError(why)
        self._decision = await self._take_turn(self._start_clock())

    async def _drive(self, one: OneAttempt, scope: HasDeadline) -> Answer | Chunk | GiveUp:
        """Carry out what the retry machine decides, until there is something to show for it."""
        while True:  # noqa: ASYNC913  # each round sends or sleeps
            match self._decision:
                case Send():
                    found = await one(self._start_attempt(), scope)
                    if isinstance(found, Answer):
                        self._decision = self._attempt_ended(found)
                        return found
                    if isinstance(found, Chunk):
                        if self.observer is not None:
                            self._tell_chunk(self.observer, found)
                        return found
                    scope.deadline = math.inf  # what follows has deadlines of its own
                    self._decision = self._attempt_ended(found)
                case WaitUntil() as wait:
                    self._decision = await self._back_off(wait)
                case GiveUp() as end:
                    return end  # noqa: ASYNC910  # what ended it was one
                case Finish() | None:
                    raise LocalProtocolError("a call went on that was over, or had not begun")
                case _:
                    assert_never(self._decision)

    def _start_clock(self) -> float:
        now = self.route.station.now()
        self._deadlines = Deadlines(self.terms, now)
        self._retry = new_retry(
            self.route.retry_policy,
            self.route.seed,
            # Calls that are no batch's have all the same index, and must not wait in step.
            self.ticket.age if self.seat is None else self.index,
            self.route.station.retry_budget,
        )
        return now

    def _start_attempt(self) -> Attempt:
        self.ticket.sent = True
        if self.account is not None:
            self.account.purse.send(self.account.claim)
        started_at = self._retry.started_at
        assert started_at is not None
        # The first attempt starts with the call: no second look at the clock.
        now = started_at if self._retry.attempts == 1 else trio.current_time()
        self._attempt_at = now
        self._deadlines.attempt_started(now)
        self._attempt = new_attempt(
            self.route, self.body, self._deadlines, self.terms.stall_s != math.inf
        )
        if self.observer is not None:
            if self._retry.attempts == 1:
                self.observer.admitted(
                    index=self.index,
                    model=self.route.model,
                    endpoint=self.route.station.endpoint.name,
                )
            self.observer.attempt_started(index=self.index, attempt=self._retry.attempts)
            if self.account is not None:
                tell_budgets(self.observer, self.account.purse)
        return self._attempt

    def _attempt_ended(self, found: Answer | Fault, *, delivered: bool = False) -> Decision:
        """Tell the retry machine, and the observer."""
        attempt = self._attempt
        assert attempt is not None
        self._deadlines.attempt_ended()
        number = self._retry.attempts
        observer, ticket = self.observer, self.ticket
        sent_at, now = self._attempt_at, self.route.station.now()
        self._ended_at = now
        if ticket.meter is not None:
            if observer is None:
                settle(ticket, attempt, found, sent_at=sent_at, now=now)
            else:
                settle_and_tell(
                    observer, self.route, ticket, attempt, found, sent_at=sent_at, now=now
                )
        if self.account is not None:
            cost = self.route.cost(found) if isinstance(found, Answer) else None
            self.account.settle(found, cost=cost, abandoned=attempt.abandoned)
            if observer is not None:
                tell_budgets(observer, self.account.purse)
        if isinstance(found, Answer):
            if self.observer is not None:
                self.observer.attempt_ended(index=self.index, attempt=number, fault=None)
            before = attempt.sends - 1  # those that met an idle connection as it was closed
            answered = Answered(sends=attempt.sends, abandoned=before) if before else ANSWERED
            return self._retry.advance(answered, 0.0)
        limit = trio.current_effective_deadline()
        if self.seat is not None and found.kind in THROTTLED_KINDS:
            # A batch waits as long as the provider wants: the request's clock stands still.
            limit = min(limit, self.terms.batch_at)
        else:
            limit, _ = self._deadlines.limit(caller_at=limit)
        abandoned = attempt.abandoned
        if attempt.sends > 1 and attempt.headers is not None:
            abandoned = attempt.sends - 1 + found.possibly_billed
        failed = Failed(found, delivered=delivered, sends=attempt.sends, abandoned=abandoned)
        decision = self._retry.advance(failed, now, deadline=limit)
        if self.observer is not None:
            self.observer.attempt_ended(index=self.index, attempt=number, fault=found)
            if isinstance(decision, WaitUntil):
                self.observer.retry(
                    index=self.index, attempt=number, fault=found, delay_s=decision.delay_s
                )
        return decision

    async def _back_off(self, wait: WaitUntil) -> Decision:
        """Let go of the turn, sleep, and take a turn again."""
        self.route.gate.release(self.ticket)
        if self.seat is None:
            return await self._sleep_and_take_turn(wait)
        throttled = self._retry.faults[-1].kind in THROTTLED_KINDS
        # What holds back the endpoint is no delay of the request.
        self._deadlines.hold(wait.delay_s if throttled else wait.held_s)
        self.seat.backoff_began()
        try:
            return await self._sleep_and_take_turn(wait)
        finally:
            self.seat.backoff_ended()

    async def _sleep_and_take_turn(self, wait: WaitUntil) -> Decision:
        with trio.CancelScope(deadline=self._deadlines.nearest()) as scope:
            await trio.sleep_until(wait.at)
        now = trio.current_time()
        return self._out_of_time(now) if scope.cancelled_caught else await self._take_turn(now)

    async def _take_turn(self, now: float) -> Decision:
        """Wait until the ticket is held.

        In a batch the request's clock stands still here: queueing is the batch's matter.
        """
        single = self.seat is None
        deadline = self._deadlines.nearest() if single else self.terms.batch_at
        if single and (why := why_too_late(self.route, self.ticket, deadline, now)) is not None:
            await trio.lowlevel.checkpoint()
            fault = Fault(kind=ErrorKind.REQUEST_TIMEOUT, message=why)
            return self._retry.advance(Stopped(fault, "nothing was sent for it any more"), now)
        account, is_funded = self.account, True
        turn: TurnWait | None = None
        if account is None and now < deadline:
            await trio.lowlevel.checkpoint_if_cancelled()
            turn = self.route.gate.queue_up(self.ticket)
            if turn is None:  # as nearly always: a scope to wait in would cost 8 µs
                return self._retry.advance(STARTED, now)
        # Either wait is a checkpoint; the linter sees that each of them may be left out.
        with trio.CancelScope(deadline=deadline) as scope:  # noqa: ASYNC912
            if account is not None:
                is_funded = await account.wait_held()
            if turn is not None:
                await turn.until_held()
            elif is_funded:
                await self.route.gate.wait_held(self.ticket)
        then, now = now, trio.current_time()
        if scope.cancelled_caught:
            if account is not None:
                account.close()
            return self._out_of_time(now)  # noqa: ASYNC910
        if not is_funded:
            return self._out_of_money(now)  # noqa: ASYNC910
        if not single:
            self._deadlines.hold(now - then)
        return self._retry.advance(STARTED, now)  # noqa: ASYNC910

    def _out_of_money(self, now: float) -> Decision:
        assert self.account is not None
        why = self.account.purse.refusal or ""
        faults = self._retry.faults
        fault = faults[-1] if faults else Fault(kind=ErrorKind.NOT_SENT, message=why)
        return self._retry.advance(Stopped(fault, why), now)

    def _out_of_time(self, now: float) -> Decision:
        kind = self._deadlines.expired(now)
        assert kind is not None, "only our own deadline ends the scope"
        fault = self._deadlines.fault(kind)
        return self._retry.advance(Stopped(fault, "no time is left"), now)

    def completion(self, answer: Answer) -> Completion:
        """Return the answer with the call's bookkeeping."""
        retry, attempt = self._retry, self._attempt
        assert attempt is not None
        assert retry.started_at is not None
        first_token_at = attempt.first_token_at
        headers = attempt.headers
        assert headers is not None
        return new_completion(  # by position, which takes a third of the time
            self.request.id,
            self.index,
            self.route.model,
            self.route.station.endpoint.name,
            answer.text,
            answer.finish_reason,
            self._ended_at - retry.started_at,
            answer.native_finish_reason,
            answer.reasoning,
            answer.refusal,
            answer.tool_calls,
            answer.usage,
            self.route.cost(answer),
            possibly_billed(self.route, self.body, retry.abandoned) if retry.abandoned else ZERO,
            None if first_token_at is None else first_token_at - self._attempt_at,
            retry.attempts,
            retry.abandoned,
            retry.faults,
            answer.model,
            answer.service_tier,
            answer.response_id,
            rate_limit_fields(headers),
            None,  # it is nobody else's answer
            False,  # nor was it read from a journal
            answer.parts,
        )

    def _failure(self, end: GiveUp) -> Failure:
        return failure_of(
            end,
            self.route,
            self.request,
            self.index,
            retry=self._retry,
            attempt=self._attempt,
            possibly_billed_usd=possibly_billed(self.route, self.body, self._retry.abandoned),
            now=self.route.station.now(),
        )

    def _unsendable(self, error: InvalidRequestError) -> Failure:
        return unsendable(error, self.route, self.request, self.index)

    def _tell_left(self, observer: Observer) -> None:
        """Tell that the call is let go before its end, and its attempt if one is under way."""
        attempt = self._attempt
        if attempt is None or self._retry.state in (State.DONE, State.GIVEN_UP):
            return
        if self._retry.state is State.IN_FLIGHT:
            observer.attempt_ended(index=self.index, attempt=self._retry.attempts, fault=LEFT)
            if self.account is not None:
                tell_budgets(observer, self.account.purse)
            self._retry.advance(Failed(LEFT, delivered=True), self.route.station.now())
        else:
            self._retry.advance(Stopped(LEFT, LEFT.message), self.route.station.now())
        first_at = attempt.first_token_at if hasattr(self, "_chunk_at") else None
        observer.cancelled(
            self._failure(GiveUp(LEFT, LEFT.message)),
            request=self.request,
            first_token_s=None if first_at is None else first_at - self._attempt_at,
        )

    def _tell_chunk(self, observer: Observer, chunk: Chunk) -> None:
        self._chunk_at = trio.current_time()
        observer.chunk(index=self.index, characters=len(chunk.text))

    def _tell_next_chunk(self, observer: Observer, chunk: Chunk) -> None:
        before = self._chunk_at
        self._tell_chunk(observer, chunk)
        observer.chunk_gap(
            endpoint=self.route.station.endpoint.name,
            model=self.route.model,
            gap_s=self._chunk_at - before,
        )


new_call: Final = quick_maker(Call)
