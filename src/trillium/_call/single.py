"""A call that is no batch's: made, and brought to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, final

import trio

from trillium._call.call import Call
from trillium._call.deadline_watch import HasDeadline, WatchedScope
from trillium._call.route import Route
from trillium._money.budget import Purse
from trillium._policy.deadlines import DeadlineTerms
from trillium.completions import Completion, Failure, Outcome
from trillium.messages import Request
from trillium.observers import Observer

ValueT = TypeVar("ValueT")


def single_call(
    route: Route,
    request: Request,
    *,
    terms: DeadlineTerms,
    observer: Observer | None,
    purse: Purse | None,
) -> Call:
    """Return the call of one request."""
    return Call(
        route=route,
        request=request,
        index=0,
        ticket=route.ticket(route, request),
        terms=terms,
        observer=observer,
        purse=purse,
    )


async def in_scopes(call: Call, run: Callable[[HasDeadline], Awaitable[ValueT]]) -> ValueT:
    """Run a call, or what is left of it, in a scope for its deadlines, until none of them fires.

    Args:
        call: The one that is run.
        run: Its method.
    """
    while True:
        with trio.CancelScope() as scope:
            return await run(scope)
        call.attempt_timed_out()


async def outcome_of(call: Call) -> Outcome:
    """Answer the call's request, and tell its observer.

    Raises:
        InvalidRequestError: It cannot be sent as it is.
    """
    try:
        outcome = await in_scopes(call, call.run_in_turn)
    finally:
        call.let_go()
    if call.observer is not None:
        call.observer.outcome(outcome, request=call.request)
    return outcome


def completion_in(outcome: Outcome) -> Completion:
    """Return the completion.

    Raises:
        RequestError: There is none; `kind` says why.
    """
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome


@final
class SingleCall:
    """A call that is made and run by a task with a scope that serves many: see `WatchedScope`.

    A scope of its own would cost a tenth of the call.
    """

    __slots__ = ("_call", "_make")

    def __init__(self, make: Callable[[], Call]) -> None:
        """Make nothing yet.

        Args:
            make: Makes the call, in that task.
        """
        self._make = make
        self._call: Call | None = None

    async def run(self, scope: WatchedScope) -> Completion:
        """Answer the request; once more in another scope, for each time that one has fired.

        A run that is cut by its scope is followed by another one, or by `let_go`.

        Raises:
            RequestError: There is no answer; `kind` says why.
            InvalidRequestError: The request cannot be sent as it is. Nothing was sent.
        """
        call = self._call
        if call is None:
            call = self._call = self._make()
        else:
            call.attempt_timed_out()
        try:
            outcome = await call.run_in_turn(scope)
        except trio.Cancelled:
            raise  # what has come so far is still held
        except BaseException:
            self.let_go()
            raise
        self.let_go()
        if call.observer is not None:
            call.observer.outcome(outcome, request=call.request)
        return completion_in(outcome)

    def let_go(self) -> None:
        """Pass the call's turn on, wherever it is. Idempotent."""
        if self._call is not None:
            call, self._call = self._call, None
            call.let_go()
