"""What a rehearsal is made with, and how the time of a whole job follows from that of a part.

A part of a job, with such a part of what may come at once (the bursts of its limits), takes that
part of the time: rates and places in flight stay as they are. What does not follow the length of
the job, such as the last answers, is told by a second, shorter part: the time is a line through
both.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final, final

import attrs

from trillium._planning.calibration import Calibration, Seen, redraw
from trillium._planning.intervals import NORMAL, dice_of, even_draws
from trillium._planning.measure import Measure, Outline
from trillium._planning.provider import Part
from trillium._planning.rehearsal import Rehearsal, StopSign, Terms, rehearse
from trillium.plans import Assumptions

MOST_FAILURES: Final = 50


@final
@attrs.frozen(kw_only=True)
class Scenario:
    """Which answers a rehearsal has."""

    assumptions: Assumptions
    """With all defaults filled in."""
    seen: tuple[Seen, ...] = ()
    """Answers that were sampled; without any, all follows from the assumptions."""
    bytes_per_token: float
    output_tokens: float = math.nan
    latency_s: float = math.nan
    """Means that what is drawn from `seen` is brought to."""
    number: int = 0
    """Each scenario has dice of its own."""

    def parts(self, outlines: Sequence[Outline], seed: int) -> list[Part]:
        """Return what becomes of each request."""
        dice = dice_of(f"scenario {self.number} {seed}")
        answers = self._sampled(outlines, dice) if self.seen else self._assumed(outlines, dice)
        per_token = self.assumptions.bytes_per_token / self.bytes_per_token
        return [
            Part(
                text_bytes=outline.text_bytes,
                max_tokens=outline.max_tokens,
                input_tokens=max(1, round(outline.input_tokens * per_token)),
                output_tokens=answer.output_tokens,
                latency_s=answer.latency_s,
                failures=self._failures(draw),
            )
            for outline, answer, draw in zip(
                outlines, answers, even_draws(len(outlines), dice), strict=True
            )
        ]

    def _assumed(self, outlines: Sequence[Outline], dice: random.Random) -> list[Seen]:
        assume = self.assumptions
        first_s, per_second = assume.first_token_s, assume.tokens_per_second
        assert first_s is not None
        assert per_second is not None
        spread = assume.latency_spread
        found = []
        for outline, draw in zip(outlines, even_draws(len(outlines), dice), strict=True):
            out = max(1, outline.output_tokens)
            factor = math.exp(spread * NORMAL.inv_cdf(draw)) if spread else 1.0
            found.append(Seen(out, first_s * factor + (out - 1) / per_second))
        return found

    def _sampled(self, outlines: Sequence[Outline], dice: random.Random) -> list[Seen]:
        bounds = [outline.max_tokens for outline in outlines]
        drawn = redraw(self.seen, bounds, dice)
        longer = _factor(self.output_tokens, [one.output_tokens for one in drawn])
        later = _factor(self.latency_s, [one.latency_s for one in drawn])
        return [
            Seen(
                _bounded(max(1, round(one.output_tokens * longer)), bound),
                one.latency_s * later,
            )
            for one, bound in zip(drawn, bounds, strict=True)
        ]

    def _failures(self, draw: float) -> int:
        """Return how many attempts fail before one is answered, by a draw from (0, 1)."""
        rate = self.assumptions.error_rate
        return min(MOST_FAILURES, int(math.log(draw) / math.log(rate))) if rate else 0


def _factor(wanted: float, drawn: Sequence[float]) -> float:
    total = math.fsum(drawn)
    return 1.0 if math.isnan(wanted) or not total else wanted * len(drawn) / total


def _bounded(tokens: int, bound: int | None) -> int:
    return tokens if bound is None else min(tokens, bound)


def scenarios_of(calibration: Calibration | None, measure: Measure, count: int) -> list[Scenario]:
    """Return what is to be rehearsed: what is expected, and the two ends of what may be."""
    assume = measure.assumptions
    if calibration is None or not calibration.seen:
        return [Scenario(assumptions=assume, bytes_per_token=assume.bytes_per_token)]
    out, late = calibration.output_ratio, calibration.latency_s
    assert late is not None, "what was seen took some time"
    mean = measure.output_tokens / count
    expected = Scenario(
        assumptions=assume,
        seen=calibration.seen,
        bytes_per_token=calibration.bytes_per_token or assume.bytes_per_token,
        output_tokens=math.nan if out is None else out.value * mean,
        latency_s=late.value,
    )
    if late.interval is None:
        return [expected]
    lengths = (math.nan, math.nan)
    if out is not None and out.interval is not None:
        lengths = (out.interval[0] * mean, out.interval[1] * mean)
    ends = [
        attrs.evolve(expected, output_tokens=length, latency_s=latency, number=number)
        for number, (length, latency) in enumerate(zip(lengths, late.interval, strict=True), 1)
    ]
    return [expected, *ends]


def rehearse_all(terms: Terms, parts: Sequence[Part], stop: StopSign, *, count: int) -> Rehearsal:
    """Return what becomes of a whole job, of which these requests are all, or a part.

    Args:
        terms: How it is run.
        parts: The requests.
        stop: As for `rehearse`.
        count: How many requests the job has.
    """
    size = len(parts)
    share = size / count if count else 1.0
    whole = rehearse(terms, parts, stop, share=share)
    if size >= count:
        return whole
    half = parts[::2]
    shorter = rehearse(terms, half, stop, share=len(half) / count)
    more_s = (whole.makespan_s - shorter.makespan_s) * (count - size) / (size - len(half))
    times = count / size
    return Rehearsal(
        makespan_s=whole.makespan_s + more_s,
        waits_s=whole.waits_s,
        completed=round(whole.completed * times),
        attempts=round(whole.attempts * times),
        tail_s=whole.tail_s,
        in_flight=whole.in_flight,
        failure=whole.failure,
        stopped=whole.stopped,
    )
