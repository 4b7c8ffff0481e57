"""What an attempt was charged to its quota is settled, and its headers are learnt from."""

from __future__ import annotations

import math
import time

import trio

from trillium._call.attempt import Attempt
from trillium._call.route import Route
from trillium._policy.adaptive_places import AdaptivePlaces
from trillium._policy.admission import Ticket
from trillium._policy.charge import Charge
from trillium._policy.quota_bucket import WHICH
from trillium._policy.retry_policy import THROTTLED_KINDS
from trillium._policy.token_estimate import size_of
from trillium._wire.rate_limit_headers import rate_limit_fields
from trillium._wire.rate_limits import limits_in
from trillium.completions import Answer
from trillium.errors import ErrorKind, Fault
from trillium.limits import LimitSighting


def settle(
    ticket: Ticket, attempt: Attempt, found: Answer | Fault, *, sent_at: float, now: float
) -> None:
    """Tell the meter how an attempt ended.

    Args:
        ticket: The request's, which has a meter.
        attempt: What was sent.
        found: What came of it.
        sent_at: When it was sent.
        now: When it ended.
    """
    meter = ticket.meter
    assert meter is not None
    meter.look(now, sent_at)
    charge = ticket.charge
    permits = ticket.permits
    if permits and type(permits[0]) is AdaptivePlaces:
        _adapt(permits[0], attempt, found, sent_at=sent_at, now=now)
    if isinstance(found, Answer):
        reads = meter.wants_headers(now)
        if charge is None and reads and meter.resting:
            charge = _measured(ticket, sent_at)  # what it took says how long the meter may rest
        if charge is not None:
            usage = found.usage
            meter.answered(
                charge,
                None
                if usage is None
                else (usage.input_tokens, usage.output_tokens, usage.cached_tokens),
                now,
            )
        if reads:
            _learn(ticket, charge, attempt, sent_at=sent_at, now=now)
        return
    if attempt.sends == 0 and charge is not None:
        meter.give_back(charge)
        return
    sightings = _learn(ticket, charge, attempt, sent_at=sent_at, now=now)
    if found.kind is ErrorKind.RATE_LIMITED:
        charge = charge or Charge(taken_at=sent_at)
        amounts = charge.amounts
        explained = any(
            seen.remaining is not None and seen.remaining < amounts[WHICH[seen.counted]]
            for seen in sightings
        )
        meter.throttled(charge, found.retry_after_s, now, explained=explained)
    elif found.kind is ErrorKind.OVERLOADED and found.retry_after_s:
        meter.hold(now + found.retry_after_s)


def _adapt(
    places: AdaptivePlaces, attempt: Attempt, found: Answer | Fault, *, sent_at: float, now: float
) -> None:
    if isinstance(found, Fault):
        if found.kind in THROTTLED_KINDS:
            places.throttled()
        return
    first_token_at, usage = attempt.first_token_at, found.usage
    places.answered(
        first_token_s=None if first_token_at is None else first_token_at - sent_at,
        latency_s=now - sent_at,
        output_tokens=0 if usage is None else usage.output_tokens,
    )


def _measured(ticket: Ticket, sent_at: float) -> Charge:
    charge = Charge(taken_at=sent_at)
    if ticket.request is not None and ticket.meter is not None:
        ticket.meter.measure(charge, size_of(ticket.request))
    return charge


def _learn(
    ticket: Ticket, charge: Charge | None, attempt: Attempt, *, sent_at: float, now: float
) -> tuple[LimitSighting, ...]:
    headers, meter = attempt.headers, ticket.meter
    if headers is None or meter is None:
        return ()
    fields = rate_limit_fields(headers)
    if not fields:
        return ()
    sightings = limits_in(fields, now_unix=time.time())
    if sightings:
        charge = charge or _measured(ticket, sent_at)
        if charge.size is None and ticket.request is not None:
            meter.measure(charge, size_of(ticket.request))
        meter.learn(sightings, charge, now)
    return sightings


def why_too_late(route: Route, ticket: Ticket, deadline: float, now: float) -> str | None:
    """Return why the quota lets a request go too late for its deadline; None if it may not.

    Args:
        route: The request's.
        ticket: Its ticket, which is idle.
        deadline: When the request must be over.
        now: The time.
    """
    meter = route.meter
    if meter.quiet:
        return None
    deadline = min(deadline, trio.current_effective_deadline())
    if deadline == math.inf:
        return None
    charge = Charge()
    if meter.counts_tokens and ticket.request is not None:
        meter.measure(charge, size_of(ticket.request))
    at = meter.earliest(charge, now, ahead=route.gate.queues.waiting_in(ticket.queue))
    if at < deadline:
        return None
    return (
        f"the quota lets it go in {at - now:.3g} s at the earliest, and its deadline is in "
        f"{max(0.0, deadline - now):.3g} s"
    )
