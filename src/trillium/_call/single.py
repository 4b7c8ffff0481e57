"""A call that is no batch's: made, and brought to its end."""

from __future__ import annotations

from trillium._call.call import Call
from trillium._call.route import Route
from trillium._money.budget import Purse
from trillium._policy.deadlines import DeadlineTerms
from trillium.completions import Outcome
from trillium.messages import Request
from trillium.observers import Observer


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


async def outcome_of(call: Call) -> Outcome:
    """Answer the call's request, and tell its observer.

    Raises:
        InvalidRequestError: It cannot be sent as it is.
    """
    try:
        outcome = await call.run_in_turn()
    finally:
        call.let_go()
    if call.observer is not None:
        call.observer.outcome(outcome, request=call.request)
    return outcome
