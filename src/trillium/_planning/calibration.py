"""What a few answers say about all that are to come. No I/O.

The answers are those of requests that were drawn from the job by lot. Sums of the job are scaled
by the ratio of what came to what had been expected of the same requests.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, final

import attrs

from trillium._money.amounts import EXACT, ZERO
from trillium._planning.intervals import NORMAL, Estimate, dice_of, estimate, even_draws
from trillium.completions import Completion, Outcome
from trillium.plans import PlanSample

CONFIDENCE: Final = 0.9
"""How often the truth is to lie within an interval, at least."""
DRAWN: Final = 0.98
"""What the intervals are drawn for. Of a few answers none may be among the longest there are: of
80 jobs with a sample of 8, those drawn for 0.95 held 90 % of the costs and 91 % of the times."""

WIDE_ERRORS: Final = 1.0
"""How many of its standard errors the spread of latencies is taken to be too narrow by."""
TAILS: Final = 99
"""How often the end of a job is drawn; the interval goes from the first to the last of them."""


@final
@attrs.frozen(kw_only=True)
class Expected:
    """What had been expected of a sampled request."""

    text_bytes: float
    """Images included, as text of as many tokens."""
    output_tokens: float
    cost_usd: Decimal | None


@final
@attrs.frozen
class Seen:
    """Length and latency of one answer: they belong together."""

    output_tokens: int
    latency_s: float


@final
@attrs.frozen(kw_only=True)
class Calibration:
    """What the sample says."""

    sample: PlanSample
    seen: tuple[Seen, ...]
    bytes_per_token: float | None
    output_ratio: Estimate | None
    """Of answers' lengths to the expected ones."""
    cost_ratio: Estimate | None
    latency_s: Estimate | None


def calibrate(
    outcomes: Sequence[Outcome],
    expected: Sequence[Expected],
    *,
    population: int,
    seed: int,
) -> Calibration:
    """Return what outcomes say.

    Args:
        outcomes: Of the sampled requests, in their order.
        expected: Of the same requests.
        population: How many requests the job has.
        seed: Of the dice.
    """
    dice = dice_of(f"calibration {seed}")
    pairs = [
        (outcome, told)
        for outcome, told in zip(outcomes, expected, strict=True)
        if isinstance(outcome, Completion)
    ]
    counted = [(one.usage, told) for one, told in pairs if one.usage is not None]
    # What was made again says more of errors than of latency.
    quick = [one for one, _ in pairs if one.attempts == 1] or [one for one, _ in pairs]
    costs = [one.cost_usd for one, _ in pairs if one.cost_usd is not None]
    latencies = [one.latency_s for one in quick]

    def ratio(values: Sequence[float], bases: Sequence[float] | None = None) -> Estimate | None:
        return estimate(values, bases, population=population, confidence=DRAWN, dice=dice)

    bytes_in = math.fsum(told.text_bytes for _, told in counted)
    tokens_in = sum(usage.input_tokens for usage, _ in counted)
    priced = [
        (float(one.cost_usd), float(told.cost_usd))
        for one, told in pairs
        if one.cost_usd is not None and told.cost_usd
    ]
    return Calibration(
        sample=PlanSample(
            asked=len(outcomes),
            answered=len(pairs),
            cost_usd=_sum(costs) if len(costs) == len(pairs) else None,
            latency_s=math.fsum(latencies) / len(latencies) if latencies else None,
        ),
        seen=tuple(
            Seen(0 if one.usage is None else one.usage.output_tokens, one.latency_s)
            for one in quick
        ),
        bytes_per_token=bytes_in / tokens_in if tokens_in and bytes_in else None,
        output_ratio=ratio(
            [usage.output_tokens for usage, _ in counted],
            [told.output_tokens for _, told in counted],
        ),
        cost_ratio=ratio([cost for cost, _ in priced], [base for _, base in priced])
        if len(priced) == len(pairs)
        else None,
        latency_s=ratio(latencies),
    )


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    found = ZERO
    for amount in amounts:
        found = EXACT.add(found, amount)
    return found


def redraw(seen: Sequence[Seen], bounds: Sequence[int | None], dice: random.Random) -> list[Seen]:
    """Return an answer for each request: one that was seen, a little longer or shorter.

    Of twenty answers the longest is not the longest that there will be; so what is drawn is
    spread, as a smoothed bootstrap does (Silverman's rule, on logarithms).

    Args:
        seen: What was sampled.
        bounds: `max_tokens` of each request.
        dice: For the draws.
    """
    width = _width(seen)
    found = []
    chosen, spreads = even_draws(len(bounds), dice), even_draws(len(bounds), dice)
    for bound, choice, place in zip(bounds, chosen, spreads, strict=True):
        one = seen[int(choice * len(seen))]
        factor = math.exp(width * NORMAL.inv_cdf(place) - width * width / 2)
        out = max(1, round(one.output_tokens * factor))
        if bound is not None and out > bound:
            factor *= bound / out
            out = bound
        found.append(Seen(out, one.latency_s * factor))
    return found


def _width(seen: Sequence[Seen]) -> float:
    """Return how much what is drawn is spread, as a standard deviation of logarithms."""
    return 1.06 * _logs(seen)[1] * math.pow(max(1, len(seen)), -0.2)


def _logs(seen: Sequence[Seen]) -> tuple[float, float]:
    """Return mean and standard deviation of the latencies' logarithms."""
    logs = [math.log(one.latency_s) for one in seen if one.latency_s > 0]
    if len(logs) < 2:
        return (logs[0] if logs else -math.inf), 0.0
    mean = math.fsum(logs) / len(logs)
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))


def tail_of(
    seen: Sequence[Seen], in_flight: int, *, at_once: bool, dice: random.Random
) -> tuple[float, float]:
    """Return how soon and how late the last answer may come after the last send, in seconds.

    The last of many answers is the slowest of those in flight, and how slow that is no mean says:
    it is drawn from what was seen, each time as if another sample had been, and it is drawn from a
    lognormal distribution as wide as these answers may just be of.

    Args:
        seen: What was sampled.
        in_flight: How many are in flight at the last send.
        at_once: Whether all of them have just been sent; else they are on their way.
        dice: For the draws.
    """
    latencies, width = [one.latency_s for one in seen], _width(seen)
    middle, spread = _logs(seen)
    spread *= 1 + WIDE_ERRORS / math.sqrt(2 * max(1, len(seen) - 1))
    lasts: list[float] = []
    for _ in range(TAILS):
        sample = dice.choices(latencies, k=len(latencies))
        # What is met on its way is long more often than short: by its length.
        weights = None if at_once or not any(sample) else sample
        longer = 0.0 if at_once else spread * spread
        last = widest = 0.0
        for place, latency_s in enumerate(dice.choices(sample, weights, k=in_flight)):
            left = 1.0 if at_once or not place else dice.random()
            draw = dice.gauss(0.0, 1.0)
            last = max(last, latency_s * left * math.exp(width * draw))
            widest = max(widest, left * math.exp(middle + longer + spread * draw))
        lasts += (last, widest)
    return min(lasts), max(lasts)
