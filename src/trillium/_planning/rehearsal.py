"""A job in virtual time: the batch itself, against a simulated provider in the same run.

The run has a clock of its own, which jumps as soon as all tasks wait; so a night's work takes a
second or two. It is a run of trio in a thread, since the program's own must go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, final

import attrs
import trio
from trio.testing import MockClock

from trillium._batch.options import BatchOptions
from trillium._batch.run import Batch
from trillium._batch.statistics import StopCause
from trillium._call.routes import Routes
from trillium._money.budget import Budget, Purse
from trillium._money.tariff import Tariff
from trillium._planning.provider import (
    BOTH_TOKENS,
    DirectTransport,
    Part,
    in_part,
    open_provider,
    quota_of,
    style_of,
)
from trillium._policy.admission import Admission
from trillium._policy.quota import Quota
from trillium._policy.retry_policy import RetryPolicy
from trillium.completions import Outcome
from trillium.endpoints import Endpoint
from trillium.errors import Fault
from trillium.limits import ChargeRule, Counted, Limits
from trillium.messages import Request
from trillium.observers import Observer
from trillium.plans import Binding
from trillium.timeouts import Timeouts

NOWHERE: Final = "http://rehearsal.invalid/v1"
"""Nothing is ever sent there (RFC 6761, 6.4)."""
WORTH_TELLING: Final = 0.1
"""What is waited for in a smaller share of the time binds nothing: more of it would not help."""
_BINDINGS: Final = {
    Counted.REQUESTS: Binding.REQUESTS,
    Counted.TOKENS: Binding.TOKENS,
    Counted.INPUT_TOKENS: Binding.INPUT_TOKENS,
    Counted.OUTPUT_TOKENS: Binding.OUTPUT_TOKENS,
}


@final
@attrs.frozen(kw_only=True)
class Terms:
    """How the job would be run."""

    endpoint: str
    model: str
    charge_rule: ChargeRule
    tariff: Tariff | None
    limits: Limits
    """What is told of the endpoint."""
    retry_policy: RetryPolicy
    timeouts: Timeouts
    endpoint_concurrency: int | None
    """The client's own bound."""
    concurrency: int | None
    """The batch's; this and the next two as `BatchOptions` has them."""
    adaptive: bool
    expected_concurrency: int
    budget_usd: Decimal | None = None
    soft: bool = False
    seed: int = 0


@final
@attrs.frozen(kw_only=True)
class Rehearsal:
    """What became of it."""

    makespan_s: float
    waits_s: Mapping[Binding, float]
    """Seconds, by what the next request waited for."""
    completed: int
    attempts: int
    tail_s: float = 0.0
    """Seconds from the last send to the last answer."""
    in_flight: int = 0
    """How many were in flight with the last one."""
    failure: str = ""
    """Why a request was not answered, if one was not: an example."""
    stopped: StopCause | None = None


@final
@attrs.define
class StopSign:
    """Says, from another thread, that a rehearsal is not wanted any more."""

    is_set: bool = False


def rehearse(terms: Terms, parts: Sequence[Part], stop: StopSign, *, share: float) -> Rehearsal:
    """Run a job in virtual time, in this thread, which has no run of trio.

    Args:
        terms: How it is run.
        parts: Its requests, or some of them.
        stop: Looked at on the way; what is returned then is of no use.
        share: How much of the whole job they are: buckets and budgets are as small a share.
    """
    return trio.run(_rehearse, terms, parts, stop, share, clock=MockClock(autojump_threshold=0))


async def _rehearse(terms: Terms, parts: Sequence[Part], stop: StopSign, share: float) -> Rehearsal:
    largest = max((_tokens(part, terms.charge_rule) for part in parts), default=0.0)
    quota = quota_of(terms.limits, terms.model, share=share, largest=largest)
    simulator = open_provider(parts, quota, terms.charge_rule, style_of(terms.limits, terms.model))
    hidden = () if terms.limits.tokens_per_minute else (BOTH_TOKENS,)
    limits = in_part(terms.limits, share=share, largest=largest)
    routes = Routes(
        endpoint=Endpoint(
            name=terms.endpoint, base_url=NOWHERE, key="none", charge_rule=terms.charge_rule
        ),
        default_model=terms.model,
        open_transport=lambda _: DirectTransport(simulator, hidden),
        tariff_of=lambda _endpoint, _model: terms.tariff,
        retry_policy=terms.retry_policy,
        quota=Quota(limits),
        concurrency=terms.endpoint_concurrency,
        seed=terms.seed,
    )
    with trio.CancelScope() as scope:
        watch = Watch(routes.gate.queues, lambda: stop.is_set and scope.cancel())
        purse = _purse(terms, share)
        batch = Batch(
            (Request(part.text(i), max_tokens=part.max_tokens) for i, part in enumerate(parts)),
            route_of=lambda _: routes.route(None),
            options=BatchOptions(
                concurrency=terms.concurrency,
                adaptive=terms.adaptive,
                expected_concurrency=terms.expected_concurrency,
                ordered=False,
                # Whole answers take as long as streamed ones, and less work.
                timeouts=attrs.evolve(terms.timeouts, first_token_s=None, stall_s=None),
                deadline_s=None,
                observer=watch,
                purse=purse,
            ),
        )
        if purse is not None:
            watch.is_short = lambda: batch.statistics().queued > 0
        async with batch:
            async for _ in batch:
                pass
    ended = batch.stopped
    return attrs.evolve(watch.found(), stopped=None if ended is None else ended.cause)


def _purse(terms: Terms, share: float) -> Purse | None:
    if terms.budget_usd is None:
        return None
    amount = terms.budget_usd
    if share < 1:
        amount = (amount * Decimal(repr(share))).quantize(Decimal("1e-12"))
    return Purse((Budget(amount, soft=terms.soft),))


def _tokens(part: Part, rule: ChargeRule) -> float:
    """Return what a request takes of the limits of tokens at most."""
    out = part.output_tokens
    if part.max_tokens is not None and rule is not ChargeRule.USED:
        out = max(out, part.max_tokens)
    # The client's first estimates are higher than what is learnt.
    return max(part.input_tokens, part.text_bytes / 3) + max(out, 512)


@final
class Watch(Observer):
    """Looks, whenever a request is sent or done, at what the next one waits for."""

    def __init__(self, queues: Admission, look: Callable[[], object]) -> None:
        self._queues = queues
        self._look = look
        self.is_short: Callable[[], bool] = lambda: False
        """Whether a request waits that admission has not seen: for money."""
        self._since = self._started_at = trio.current_time()
        self._cause = Binding.LATENCY
        self._waits = dict.fromkeys(Binding, 0.0)
        self._completed = self._attempts = self._ended = self._in_flight = 0
        self._last_at = self._started_at
        self._failure = ""

    def found(self) -> Rehearsal:
        """Return what was seen."""
        return Rehearsal(
            makespan_s=self._since - self._started_at,
            waits_s={cause: seconds for cause, seconds in self._waits.items() if seconds},
            completed=self._completed,
            attempts=self._attempts,
            tail_s=self._since - self._last_at,
            in_flight=self._in_flight,
            failure=self._failure,
        )

    def attempt_started(self, *, index: int, attempt: int) -> None:  # noqa: ARG002
        """Take note."""
        self._attempts += 1
        self._note()
        self._last_at, self._in_flight = self._since, self._attempts - self._ended

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:  # noqa: ARG002
        """Take note."""
        self._ended += 1

    def retry(self, *, index: int, attempt: int, fault: Fault, delay_s: float) -> None:  # noqa: ARG002
        """Take note."""
        self._note()

    def outcome(self, outcome: Outcome, *, request: Request | None = None) -> None:  # noqa: ARG002
        """Take note."""
        if outcome.attempts:
            self._note()
        if outcome.success:
            self._completed += 1
        elif not self._failure:
            self._failure = str(outcome.error)
        self._look()

    def _note(self) -> None:
        now = trio.current_time()
        if now > self._since:
            self._waits[self._cause] += now - self._since
            self._since = now
        self._cause = self._next()

    def _next(self) -> Binding:
        queues = self._queues
        if not queues.waiting:
            return Binding.BUDGET if self.is_short() else Binding.LATENCY
        for ticket, _ in queues.due:
            meter, charge = ticket.meter, ticket.charge
            if meter is None or charge is None:
                continue
            now = trio.current_time()
            lacking = meter.lacking(charge, now)
            if lacking:
                last = max(lacking, key=lambda b: b.ready_at(charge.amounts[b.which], now))
                return _BINDINGS[last.counted]
        return Binding.CONCURRENCY


def binding_of(waits_s: Mapping[Binding, float]) -> Binding:
    """Return what was waited for most, if it was waited for long enough to matter."""
    found = {cause: s for cause, s in waits_s.items() if cause is not Binding.LATENCY}
    if not found:
        return Binding.LATENCY
    most = max(found, key=found.__getitem__)
    total = sum(waits_s.values())
    return most if found[most] >= WORTH_TELLING * total else Binding.LATENCY
