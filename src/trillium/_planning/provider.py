"""The provider of a rehearsal: a simulator in the same run, reached without a socket.

It permits what the endpoint is said to permit, and tells so in its headers, as most providers do;
how much of a limit may come at once is the user's `burst_s`, else a whole window of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, final

import attrs
import trio

from trillium._transport.exchange import Exchange, Target
from trillium._transport.readiness import Readiness
from trillium._wire.headers import Headers
from trillium.completions import FinishReason, Usage
from trillium.limits import ChargeRule, Counted, LeakyBucket, LimitReport, Limits
from trillium.simulator import Ending, FaultKind, Scripted, Send, Simulator, SimulatorSettings, Wait
from trillium.simulator.quota import WINDOW_S, Bucket, Limit, QuotaMeter
from trillium.simulator.scripts import Arrival
from trillium.simulator.settings import HeaderStyle, SimulatedQuota, TokenCharge
from trillium.simulator.words import Asked, Reply, Said, SaidKind, SimulatedRequest

CHARGES: Final = {
    ChargeRule.SUM: TokenCharge.RESERVED,
    ChargeRule.LARGER: TokenCharge.LARGER,
    ChargeRule.USED: TokenCharge.USED,
}
_FIELDS: Final = {
    Limit.REQUESTS_PER_SECOND: "requests_per_second",
    Limit.REQUESTS_PER_MINUTE: "requests_per_minute",
    Limit.REQUESTS_PER_DAY: "requests_per_day",
    Limit.TOKENS_PER_MINUTE: "tokens_per_minute",
    Limit.INPUT_TOKENS_PER_MINUTE: "input_tokens_per_minute",
    Limit.OUTPUT_TOKENS_PER_MINUTE: "output_tokens_per_minute",
}
_MINUTE: Final = Limit.REQUESTS_PER_MINUTE
_MINUTES: Final = {counted: f"{counted.value}_per_minute" for counted in Counted}
BOTH_TOKENS: Final = "anthropic-ratelimit-tokens-"
"""What Anthropic tells of input and output together, where that is no limit of its own: the
simulator tells the tightest of the others, which is too little for both."""
_SAID: Final = (Said(kind=SaidKind.TEXT, tokens=("x",)),)


@final
@attrs.frozen(kw_only=True)
class Part:
    """What becomes of one request of a rehearsal."""

    text_bytes: int
    max_tokens: int | None
    input_tokens: int
    output_tokens: int
    latency_s: float
    failures: int = 0
    """How many attempts fail before one is answered."""

    def text(self, place: int) -> str:
        """Return a prompt of as many bytes, which begins with its place in the job."""
        return f"{place:x} ".ljust(self.text_bytes, "x")


def place_in(prompt: str) -> int:
    """Return the place that stands in a prompt."""
    return int(prompt.partition(" ")[0], 16)


def open_provider(
    parts: Sequence[Part], quota: QuotaMeter, rule: ChargeRule, style: HeaderStyle
) -> Simulator:
    """Return the provider that answers these requests."""

    def compose(asked: Asked, _: SimulatorSettings) -> Reply:
        part = parts[place_in(asked.prompt)]
        usage = Usage(input_tokens=part.input_tokens, output_tokens=part.output_tokens)
        return Reply(parts=_SAID, finish_reason=FinishReason.STOP, usage=usage)

    def script(arrival: Arrival) -> Scripted:
        part = parts[place_in(arrival.asked.prompt)]
        if arrival.attempt <= part.failures:
            return Scripted(fault=FaultKind.SERVER_ERROR)
        return Scripted(latency_s=part.latency_s)

    settings = SimulatorSettings(
        keys=None, header_style=style, quota=SimulatedQuota(charge=CHARGES[rule])
    )
    simulator = Simulator(settings, compose=compose, quota=quota)
    simulator.script(script)
    return simulator


def style_of(limits: Limits, model: str) -> HeaderStyle:
    """Return whose headers can tell of these limits: OpenAI's know no input without output."""
    for told in (limits, limits.models.get(model, Limits())):
        if told.input_tokens_per_minute or told.output_tokens_per_minute:
            return HeaderStyle.ANTHROPIC
    return HeaderStyle.OPENAI


def quota_of(limits: Limits, model: str, *, share: float, largest: float) -> QuotaMeter:
    """Return what the provider permits.

    Limits that are no whole numbers, or of windows of their own, are left to the client, which
    keeps them by itself.

    Args:
        limits: What it is said to permit.
        model: Whose limits hold besides.
        share: How much of its buckets there is, where a part of a job stands for the whole.
        largest: What a request takes of tokens at most: a bucket holds at least that.
    """
    of_model = limits.models.get(model, Limits())
    buckets = []
    for limit, field in _FIELDS.items():
        both = [(told, getattr(told, field)) for told in (limits, of_model)]
        told = [(amount, one.burst_s) for one, amount in both if amount is not None]
        if not told:
            continue
        amount, burst_s = min(told, key=lambda pair: pair[0])
        if amount < 1 or amount != math.floor(amount):
            continue
        whole = Bucket.full(limit, int(amount), burst_s=burst_s).capacity
        least = 1.0 if limit.counts_requests else min(largest, whole)
        capacity = max(least, whole * share)
        buckets.append(Bucket(limit, int(amount), capacity, capacity))
    return QuotaMeter(buckets, None, False)


def with_learnt(limits: Limits, reports: Iterable[LimitReport], model: str) -> Limits:
    """Return told limits, and with them those that were learnt where none of the kind was told."""
    terms = (*limits.terms(), *limits.models.get(model, Limits()).terms())
    known = {(each.counted, each.window_s) for each in terms}
    found: dict[str, Any] = {}
    for report in reports:
        kind = (report.counted, report.window_s)
        if report.told or report.model not in (None, model) or kind in known:
            continue
        known.add(kind)
        field = _MINUTES.get(report.counted) if report.window_s == WINDOW_S[_MINUTE] else None
        if field is not None:
            found[field] = report.amount
        else:
            of_kind = report.counted.value
            before = found.get(of_kind, getattr(limits, of_kind))
            found[of_kind] = (*before, LeakyBucket(report.amount, report.window_s))
    return attrs.evolve(limits, **found)


def in_part(limits: Limits, *, share: float, largest: float) -> Limits:
    """Return limits with bursts for a part of a job, which the whole is scaled from.

    A part of a job with such a part of what may come at once takes that part of the time.
    """
    if share >= 1 or limits.burst_s is None:
        return limits
    least = max(
        [
            largest * 1.001 * WINDOW_S[limit] / amount
            for limit, field in _FIELDS.items()
            if not limit.counts_requests and (amount := getattr(limits, field)) is not None
        ],
        default=0.0,
    )
    burst_s = min(limits.burst_s, max(limits.burst_s * share, least))
    return attrs.evolve(limits, burst_s=burst_s)


@final
@attrs.define(eq=False, repr=False)
class DirectTransport:
    """Carries requests to a simulator in the same run; see `Transport`."""

    simulator: Simulator
    hidden: tuple[str, ...] = ()
    """Beginnings of headers that are left out."""

    async def send(self, target: Target, body: bytes) -> Exchange:
        """Let the time pass that an answer takes, and return it whole."""
        headers = {name.lower(): value for name, value in target.headers}
        request = SimulatedRequest(method="POST", path=target.path, headers=headers, body=body)
        # Times in headers are the calendar's, and so is what they are compared with.
        self.simulator.unix_offset_s = time.time() - trio.current_time()
        plan = self.simulator.plan(request, trio.current_time())
        ending: Ending | None = Ending.ABANDONED
        received, tokens = [], 0
        try:
            await trio.lowlevel.checkpoint()
            for step in plan.steps:
                match step:
                    case Wait():
                        await trio.sleep(step.seconds)
                    case Send():
                        received.append(step.body)
                        tokens += step.tokens
                    case _:
                        raise AssertionError("a rehearsal has no broken connections")
            ending = None
        finally:
            self.simulator.end(plan, now=trio.current_time(), tokens=tokens, ending=ending)
        told = [field for field in plan.headers if not field[0].startswith(self.hidden)]
        return _Received(plan.status, Headers.of(told), b"".join(received))

    async def aclose(self) -> None:
        """There is nothing to close."""
        await trio.lowlevel.checkpoint()


@final
@attrs.define(eq=False, repr=False)
class _Received:
    """An exchange whose response is in; see `Exchange`."""

    status: int
    headers: Headers
    _body: bytes
    sends: int = 1

    @property
    def complete(self) -> bool:
        """Whether the body was read."""
        return not self._body

    async def receive(self) -> bytes:
        """Return the body, then nothing."""
        return self.receive_ready()  # noqa: ASYNC910  # it has come already

    def readable(self, _: Readiness) -> None:
        """Return None: there is no socket."""

    def receive_ready(self) -> bytes:
        """Return the body, then nothing."""
        body, self._body = self._body, b""
        return body

    async def read(self, _: int) -> bytes:
        """Return the body."""
        body, self._body = self._body, b""
        return body  # noqa: ASYNC910  # it has come already

    def cut(self) -> None:
        """Do nothing: nobody waits."""

    async def aclose(self) -> None:  # noqa: ASYNC910  # there is nothing to close
        """End the exchange."""
        self._body = b""
