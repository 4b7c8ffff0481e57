"""One limit of rate, seen from outside: how much may be sent, and when.

A provider keeps a bucket that holds `capacity`, gains `rate` each second and starts full. We keep
what is *missing* from it: a charge adds to that, time takes away. So nothing of the bucket's size
need be known to follow it: a bucket that proves larger than thought has had the same missing.

How much may be missing at most, the *room*, is the least that is certain:

- Nothing known: a request at a time, evenly, and `SLACK_S` of rate besides, so that a timer that
  fires late loses nothing (without it every late one is lost for good where requests are further
  apart than that: 1.44 times the ideal at 40 requests in a second and timers up to 20 ms late).
  Even pacing suits any provider whose bucket holds what it must.
- Told a burst: that, less one step if the rest is above even pacing. Some providers fill
  their buckets by the second, not continuously; between two fills a second's worth is missing
  that our smooth bucket knows nothing of.
- What headers show: `remaining` and what we know to be missing are together the bucket's size.
  The least that was seen in the last seconds counts: it holds the step of such a provider, the
  use that others make of the limit, and requests that overtook each other on their way. Sizes
  are kept by the phase of the step; the longest run of phases in which none was seen, and one
  more, is kept in reserve. A bucket that is full loses a part of the fill that comes next, so all
  that was known of phases is forgotten whenever it may have been full.
- Whatever its phase, a bucket that once held so much lags behind the smooth one by a step at most,
  as long as nobody else uses it: a fill makes good all that was missing up to a step, or leaves it
  full. So the most that was ever seen in it, less a step, is certain without any phase. (Without
  this a bucket of two steps stayed at the even pace: always full, it never showed its phases.)
- A step is a second, if refusals do not show that it is longer (`quota_fills`).
- Of requests that left within `OVERTAKEN_S` of one another nobody knows which came first. Where
  these are many, a size counts as if all of them had come before it, which it may not exceed,
  and shows nothing of a phase; else a burst would look like a bucket that has shrunk.

(To use what is there right after each fill was tried: it wins a tenth of a second at the end of a
job, and costs a refusal in 60,000, where a fill and a request meet.)

The rule of passing is that of GCRA: `missing + cost <= room`. What costs more than the room
passes when nothing is missing; or, as long as its size was not seen, when no more is than the
slack, if both together are within one step's fill. `missing` is never below 0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Final, final

import attrs

from trillium._policy.quota_fills import STEP_S, Fills
from trillium.limits import Counted

SLACK_S: Final = 0.025
"""How late a timer may be without loss, in seconds of the rate."""
PHASES: Final = 20
"""Into how many parts a step is cut."""
SIGHT_S: Final = 2.0
"""How long the least that was seen counts; between one and two of these."""
MARGIN_S: Final = {0: 0.03, 1: 0.1, 2: 0.1, 3: 0.1}
"""What is kept in reserve of a size that was seen, in seconds of the rate: requests overtake each
other on their way by some milliseconds, and tokens are estimates until they are counted."""
OVERTAKEN_S: Final = 0.02
"""How far apart requests may leave and still come in in another order."""
FEW_S: Final = 0.1
"""What so few can change is noise, in seconds of the rate."""
LOG_GRAIN_S: Final = 0.005
MAX_LOG: Final = 8192
"""What was sent when is kept as finely, and as long (40 s at least)."""
ROUNDING: Final = 1e-9
"""A share of the room: times are floats."""

WHICH: Final = {
    Counted.REQUESTS: 0,
    Counted.TOKENS: 1,
    Counted.INPUT_TOKENS: 2,
    Counted.OUTPUT_TOKENS: 3,
}
"""Where in `Amounts` a bucket finds its cost."""

PACED: Final = 4
"""Where the bucket of a pace finds it."""

Amounts = tuple[float, float, float, float, float]
"""What a request costs: one request; tokens in all; input tokens; output tokens; what it takes of
a pace (`quota_unit`), 1 unless its size is known."""


Sizes = list[float]


@final
@attrs.define(eq=False, repr=False)
class Bucket:
    """One limit."""

    counted: Counted
    amount: float
    """So much ..."""
    window_s: float
    """... in so many seconds."""
    told: bool = False
    burst: float | None = None
    """How much at once the user told, if told."""
    which: int = attrs.field(init=False)
    rate: float = attrs.field(init=False)
    """What comes back in a second."""
    room: float = attrs.field(init=False)
    """How much may be missing at most."""
    slack: float = attrs.field(init=False)
    """How much may be missing before a request that takes the whole room."""
    told_amount: float = attrs.field(init=False)
    """What the user told; infinite where the limit is learnt."""
    seen_at: float = attrs.field(default=-math.inf, init=False)
    """When headers first told of it."""
    sent: float = attrs.field(default=0.0, init=False)
    """All that was ever taken."""
    _log_at: list[float] = attrs.field(factory=list, init=False)
    _log: list[float] = attrs.field(factory=list, init=False)
    """How much had been sent at these times."""
    _missing: float = attrs.field(default=0.0, init=False)
    _at: float = attrs.field(default=-math.inf, init=False)
    _spans: tuple[Sizes, Sizes] = attrs.field(factory=lambda: ([], []), init=False)
    """The least sizes seen by phase: in this span of `SIGHT_S`, and in the one before.

    Last in each, those that show nothing of a phase."""
    _since: float = attrs.field(default=-math.inf, init=False)
    _full_at: float = attrs.field(default=-math.inf, init=False)
    """When it may have been full last."""
    _knows_phases: bool = attrs.field(default=False, init=False)
    _fills: Fills = attrs.field(init=False)
    _level: float = attrs.field(default=0.0, init=False)
    """The most that was ever in it."""
    _known_from: float = attrs.field(default=-math.inf, init=False)
    """From when on all that is sent has been charged."""
    _remaining: float = attrs.field(default=math.inf, init=False)
    """What the latest headers said."""
    _lead: float = attrs.field(default=0.0, init=False)
    """It may be full with so much missing as we know it: right after a fill there is more."""

    def __attrs_post_init__(self) -> None:
        self.which = WHICH[self.counted]
        self.told_amount = self.amount if self.told else math.inf
        self.rate = self.amount / self.window_s
        self._fills = Fills(self.window_s)
        self._pace_evenly()

    def missing(self, now: float) -> float:
        """Return how much is missing from a full bucket."""
        if now > self._at:
            left = self._missing - (now - self._at) * self.rate
            self._missing = left if left > 0.0 else 0.0
            self._at = now
            if left <= self._lead:
                self._full_at = now
                if self._knows_phases:
                    self._forget_phases()
                if left <= 0.0:
                    self._lead = 0.0
        return self._missing

    def ready_at(self, cost: float, now: float) -> float:
        """Return when `cost` passes, if nothing else does: `now`, or later."""
        room = self.room
        if cost + self.slack > room:
            room = max(room, cost, min(cost + self.slack, self._step_amount()))
        over = self.missing(now) + cost - room
        if over <= room * ROUNDING:
            return now
        at = now + over / self.rate
        # Else a float that is too coarse would never let it pass.
        return at if at > now else math.nextafter(now, math.inf)

    def fits(self, cost: float) -> bool:
        """Whether so much ever passes."""
        most = self.amount if self.burst is None else min(self.amount, self.burst)
        return self.counted is Counted.REQUESTS or cost <= most * (1 + ROUNDING)

    def take(self, cost: float, now: float) -> float:
        """Charge; return how much is missing now."""
        missing = self._missing = self.missing(now) + cost
        sent = self.sent = self.sent + cost
        at = self._log_at
        if at and now - at[-1] < LOG_GRAIN_S:
            self._log[-1] = sent
        else:
            at.append(now)
            self._log.append(sent)
            if len(at) > MAX_LOG:
                del at[: MAX_LOG // 2], self._log[: MAX_LOG // 2]
        return missing

    def _sent_near(self, sent_at: float, sent: float, cost: float) -> tuple[float, float]:
        """Return how much left so soon before a request, and after it, that it is all one."""
        before = bisect_right(self._log_at, sent_at - OVERTAKEN_S) - 1
        after = bisect_right(self._log_at, sent_at + OVERTAKEN_S) - 1
        if after < 0:
            return 0.0, 0.0
        earlier = self._log[before] if before >= 0 else 0.0
        return max(0.0, sent - cost - earlier), max(0.0, self._log[after] - sent)

    def correct(self, difference: float, now: float) -> None:
        """Charge more, or give back where the difference is negative."""
        left = self.missing(now) + difference
        self._missing = left if left > 0.0 else 0.0

    def set_amount(self, amount: float, now: float) -> None:
        """Take note that the provider permits another amount; never more than was told."""
        amount = min(amount, self.told_amount)
        if amount == self.amount:
            return
        self.missing(now)  # until now at the old rate
        self._level = 0.0
        self.amount = amount
        self.rate = amount / self.window_s
        if self.seen_at == -math.inf:
            self._pace_evenly()

    def tell(self, amount: float, burst: float | None, now: float) -> None:
        """Take a limit that the user tells now in the place of what was told or learnt before."""
        self.told, self.told_amount, self.burst = True, amount, burst
        self.missing(now)
        self.amount = amount
        self.rate = amount / self.window_s
        self._pace_evenly()
        self.seen_at = -math.inf
        self._knows_phases = False

    def see(
        self,
        remaining: float,
        missing: float,
        now: float,
        sent_at: float,
        *,
        sent: float = math.inf,
        cost: float = 0.0,
    ) -> None:
        """Take in what a response told.

        Args:
            remaining: What was left when the request had been charged.
            missing: What was missing then as we know it, the request's own charge included.
            now: When the response came.
            sent_at: When the request was sent.
            sent: What `sent` was when it had been charged; infinite where that is not known.
            cost: What it was charged.
        """
        size = remaining + missing
        self._remaining = remaining
        # Else what is missing is a guess.
        known = sent_at >= self._known_from and (sent < math.inf or self.told)
        if known and remaining + cost > self._level:
            self._level = remaining + cost
        in_crowd = False
        if sent < math.inf:
            earlier, later = self._sent_near(sent_at, sent, cost)
            if earlier + later > max(FEW_S * self.rate, cost):
                in_crowd = True
                size += later
        if self.seen_at == -math.inf:
            self.seen_at = self._since = now
            self.slack = 0.0
            self._spans = ([math.inf] * (PHASES + 1), [math.inf] * (PHASES + 1))
        elif now - self._since >= SIGHT_S:
            self._fills.forget(now)
            self._spans = ([math.inf] * (PHASES + 1), self._spans[0])
            self._since = now
        # A bucket that was full within the step shows nothing of its fills.
        tells = not in_crowd and sent_at - self._full_at >= STEP_S
        phase = PHASES if not tells else int(sent_at % STEP_S * (PHASES / STEP_S)) % PHASES
        span, before = self._spans
        if size >= span[phase]:
            return
        span[phase] = size
        self._knows_phases = self._knows_phases or tells
        self._judge([a if a < b else b for a, b in zip(span, before, strict=True)])

    def refused(self, cost: float, sent_at: float, now: float) -> None:
        """Take in a refusal of what would have cost so much, after `see` of its headers."""
        held_s = self._level / self.rate
        if sent_at - self._known_from < STEP_S:
            return  # what was left had been guessed: a volley too many shows no longer step
        if self._remaining < cost and self._fills.refused(held_s, sent_at, now):
            self._judge([min(a, b) for a, b in zip(*self._spans, strict=True)])

    def _forget_phases(self) -> None:
        """Take note that a full bucket has lost a part of a fill: from now on others are missed."""
        self._knows_phases = False
        for span in self._spans:
            least = min(span)
            span[:] = [math.inf] * (PHASES + 1)
            span[PHASES] = least
        self._judge([min(a, b) for a, b in zip(*self._spans, strict=True)])

    def follow(self, level: float, now: float) -> None:
        """Take note of what is left now, where the charges since are not kept."""
        self._missing, self._at = 0.0, now
        self._spans = ([math.inf] * (PHASES + 1), [math.inf] * (PHASES + 1))
        self.seen_at = self._since = self._full_at = now
        self._knows_phases = False
        self._level = 0.0
        self._known_from = now  # what is in flight was guessed
        self.slack = 0.0
        self.room = self._bounded(level)

    def _judge(self, least: list[float]) -> None:
        """Say how much may be missing, by the least sizes that were seen in each phase."""
        margin = self.rate * MARGIN_S[self.which]
        step = self.rate * self._fills.step_s
        phases = least[:PHASES]
        unseen = _longest_run_of(math.inf, phases)
        if self._knows_phases:
            most = max((size for size in phases if size < math.inf), default=0.0)
            self._lead = min(max(0.0, most - self._level), step)
            # A fill within a part of the step is seen after it, and maybe not before: not all
            # headers are read. (Without this one refusal in 30,000, told and with headers.)
            unseen = min(unseen + 1, PHASES)
        seen = min(least)
        certain = self._level - step
        if self._fills.step_s > STEP_S:
            room = min(seen, certain)
        else:
            room = seen - step * unseen / PHASES
            # Where less is left even than that, others use it too, and more may be unseen.
            if seen >= certain - margin:
                room = max(room, min(seen, certain))
        self.room = self._bounded(room - margin)

    def _bounded(self, room: float) -> float:
        """Return a room that is neither more than was told nor less than even pacing's."""
        if room > self.amount:
            room = self.amount
        if self.burst is not None and room > self.burst:
            room = self.burst
        even = self._even_room()
        return room if room > even else even

    @property
    def is_settled(self) -> bool:
        """Whether its size has been seen in headers."""
        return self.seen_at != -math.inf

    def _even_room(self) -> float:
        slack = self.rate * SLACK_S
        if self.counted is not Counted.REQUESTS:
            return slack
        most = self.amount if self.burst is None else min(self.amount, self.burst)
        return max(1.0, min(1.0 + slack, most))

    def _step_amount(self) -> float:
        """Return what passes of a bucket that may be filled in steps, whatever its size."""
        step = self.rate * min(STEP_S, self.window_s)
        return step if self.burst is None else min(step, self.burst)

    def _pace_evenly(self) -> None:
        """Reckon with what is certain as long as no header has told of the bucket's size."""
        self.room = self._even_room()
        # A request's is in the room already: all cost the same.
        self.slack = 0.0 if self.counted is Counted.REQUESTS else self.rate * SLACK_S
        if self.burst is not None:
            self.room = max(self.room, self.burst - self.rate * min(STEP_S, self.window_s))


def _longest_run_of(value: float, values: list[float]) -> int:
    """Return how many of `value` stand in a row at most, in a circle."""
    longest = run = 0
    for found in values + values:
        run = run + 1 if found == value else 0
        if run > longest:
            longest = run
    return min(longest, len(values))
