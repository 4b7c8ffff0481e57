"""The responses that a simulator plans: heads, error bodies, and what each tells of the limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import attrs

from trillium.simulator import rate_limits
from trillium.simulator.dice import Dice
from trillium.simulator.ledger import FAULT, Ending, LedgerEntry
from trillium.simulator.plans import Plan, Send, Wait
from trillium.simulator.quota import Excess, Limit, LimitState
from trillium.simulator.scripts import Scripted
from trillium.simulator.serving import BREAKING, JSON_TYPE, STATUS_FAULTS, Serving
from trillium.simulator.settings import FaultKind, HeaderStyle
from trillium.simulator.words import STATUS, Face, Problem, Reason, SimulatedRequest, Stamp

States = Sequence[LimitState]
"""How much is left of each limit."""

_REASONS: Final = {status: reason for reason, status in reversed(list(STATUS.items()))}
"""The first reason of each status, for errors that scripts want."""


@final
@attrs.frozen(kw_only=True)
class Case:
    """One request on its way to a plan."""

    request: SimulatedRequest
    face: Face
    dice: Dice
    stamp: Stamp
    style: HeaderStyle
    """In whose words this very response tells its limits."""
    now: float
    now_unix: float
    entry: LedgerEntry


def served(case: Case, serving: Serving, states: States, scripted: Scripted | None) -> Plan:
    """Return the plan of an answer, whole or spoilt."""
    response = serving.served()
    fields = [("content-type", response.content_type)]
    if response.length is not None:
        fields.append(("content-length", str(response.length)))
    fault = serving.fault
    return Plan(
        status=200,
        headers=_headers(case, fields + _told(case, states), scripted),
        steps=response.steps,
        entry=case.entry,
        outcome=Ending.ANSWERED.value if fault is None else FAULT + fault.value,
        whole=fault not in BREAKING,
    )


def at_once(
    case: Case,
    status: int,
    body: bytes,
    *,
    outcome: str,
    states: States,
    scripted: Scripted | None = None,
) -> Plan:
    """Return the plan of a JSON body that goes out at once."""
    told = _told(case, states)
    return _json(case, status, body, outcome=outcome, told=told, scripted=scripted)


def refused(case: Case, problem: Problem, states: States) -> Plan:
    """Return the plan of an error that is the request's fault."""
    body = case.face.problem(problem, case.stamp)
    return at_once(case, problem.status, body, outcome=Ending.REFUSED.value, states=states)


def failed(case: Case, fault: FaultKind, states: States) -> Plan:
    """Return the plan of an error that is the provider's fault."""
    reason = STATUS_FAULTS[fault]
    problem = Problem(reason=reason, message=f"Simulated fault: {fault.value}.")
    body = case.face.problem(problem, case.stamp)
    return at_once(case, problem.status, body, outcome=FAULT + fault.value, states=states)


def throttled(case: Case, excess: Excess, states: States, *, outcome: str) -> Plan:
    """Return the plan of a 429, in the style of the provider."""
    by_requests = excess.limit.counts_requests
    reason = Reason.REQUESTS_EXCEEDED if by_requests else Reason.TOKENS_EXCEEDED
    problem = Problem(reason=reason, message=excess.message)
    case.entry.retry_after_s = min(excess.retry_after_s, rate_limits.FOREVER_S)
    told = rate_limits.rate_limit_headers(
        case.style,
        states or rate_limits.exhausted(excess.retry_after_s),
        now_unix=case.now_unix,
        retry_after_s=excess.retry_after_s,
    )
    body = None
    if case.face.name == "openai-chat":
        body = rate_limits.refusal_body(case.style, problem.message, excess, told)
    if body is None:
        body = case.face.problem(problem, case.stamp)
    return _json(case, problem.status, body, outcome=outcome, told=told)


def simulated_excess(retry_after_s: float) -> Excess:
    """Return the excess of a request that dice or a script say is one."""
    return Excess(
        limit=Limit.REQUESTS_PER_MINUTE,
        allowed=60,
        used=60,
        requested=1,
        retry_after_s=retry_after_s,
    )


def scripted_response(case: Case, scripted: Scripted, states: States) -> Plan:
    """Return the plan of a response whose status or body a script gives."""
    body = scripted.body
    if body is None:
        reason = _REASONS.get(scripted.status, Reason.INVALID_REQUEST)
        message = scripted.text or f"Scripted status {scripted.status}."
        body = case.face.problem(Problem(reason=reason, message=message), case.stamp)
    outcome = Ending.ANSWERED if scripted.status < 300 else Ending.REFUSED
    plan = at_once(
        case, scripted.status, body, outcome=outcome.value, states=states, scripted=scripted
    )
    if scripted.latency_s:
        return attrs.evolve(plan, steps=(Wait(scripted.latency_s), Send(body)))
    return plan


def _told(case: Case, states: States) -> rate_limits.Fields:
    """Return the headers that tell what is left, where there is a quota."""
    return rate_limits.rate_limit_headers(case.style, states, now_unix=case.now_unix)


def _json(
    case: Case,
    status: int,
    body: bytes,
    *,
    outcome: str,
    told: rate_limits.Fields,
    scripted: Scripted | None = None,
) -> Plan:
    fields = [("content-type", JSON_TYPE), ("content-length", str(len(body)))]
    return Plan(
        status=status,
        headers=_headers(case, fields + told, scripted),
        steps=(Send(body),),
        entry=case.entry,
        outcome=outcome,
    )


def _headers(
    case: Case, fields: rate_limits.Fields, scripted: Scripted | None
) -> tuple[tuple[str, str], ...]:
    headers = [
        ("date", rate_limits.http_date(case.now_unix)),
        (case.face.request_id_header, f"req_{case.stamp.name[:24]}"),
        *fields,
    ]
    if scripted is not None and scripted.headers:
        own = {name.lower(): value for name, value in scripted.headers.items()}
        headers = [field for field in headers if field[0] not in own] + list(own.items())
    return tuple(headers)
