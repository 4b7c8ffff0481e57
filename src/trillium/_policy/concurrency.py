"""How many attempts may be in flight at once, where nobody has said: found by trying.

The bound grows while it is used to the full and answers come as quickly as they did: by one for
each answer at first (doubling in a round, as TCP's slow start); once it has been cut, by one in
the first round, by two in the next, and so on. It shrinks when the provider refuses or is
overloaded (429, 503, 529), and when answers begin to come much later than they did with less in
flight.

How late an answer comes is the time to its first token; where that is not seen, the time for each
token of output, since whole answers take as long as they are. The best of it is forgotten slowly,
so that a provider that has become slower for good is not taken for one that is overloaded.

A round is as many answers as there may be in flight. What was sent before a cut cuts no more.
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

BEGIN_WITH: Final = 50
"""Where it begins if nothing is told: below the limits of most paid accounts."""
LEAST: Final = 1
MOST: Final = 1000
"""More connections than this are a provider's trouble sooner than its limit."""
CUT: Final = 0.7
"""The share that a refusal leaves."""
SLOWED_CUT: Final = 0.9
"""The share that is left where answers have become late."""
SLOWED: Final = 2.0
"""How many times the best counts as late; within it the bound may grow."""
SMOOTHING: Final = 0.1
"""The weight of the newest answer."""
FORGETTING: Final = 1.002
"""The best becomes worse by this with each answer: it doubles in 350."""
TOKENS_BEFORE_FIRST: Final = 20
"""What reading the prompt takes, in tokens of output."""


@final
@attrs.define(eq=False)
class Concurrency:
    """The bound of one batch, and what it is judged by."""

    bound: int
    _most: int = attrs.field(
        default=attrs.Factory(lambda self: max(MOST, self.bound), takes_self=True), init=False
    )
    """Never grows above it; where it begins above `MOST`, somebody knows better."""
    _starting: bool = attrs.field(default=True, init=False)
    _usual: float = attrs.field(default=math.nan, init=False)
    _best: float = attrs.field(default=math.inf, init=False)
    _since_cut: int = attrs.field(default=0, init=False)
    """Answers since the bound was cut, less what was in flight then."""
    _toward_next: int = attrs.field(default=0, init=False)
    _in_round: int = attrs.field(default=1, init=False)
    """By how much it grows in a round: by one more in each, since it was cut."""
    _grown: int = attrs.field(default=0, init=False)
    """By how much it has grown in this one."""
    _unripe: int = attrs.field(default=-1, init=False)
    """How many answers are still to come before their lateness means anything."""

    @property
    def is_found(self) -> bool:
        """Whether it has ever been cut: until then nothing is known but where it began."""
        return not self._starting

    def keep_within(self, most: int) -> None:
        """Take in that more than so many cannot be in flight."""
        self._most = max(LEAST, min(self._most, most))
        self.bound = min(self.bound, self._most)

    def answered(
        self, *, in_flight: int, first_token_s: float | None, latency_s: float, output_tokens: int
    ) -> None:
        """Take in an answer.

        Args:
            in_flight: How many attempts were in flight with it.
            first_token_s: Seconds to its first token; None where that was not seen.
            latency_s: Seconds in all.
            output_tokens: How long it is; 0 where that is not known.
        """
        late = first_token_s
        if late is None:
            late = latency_s / (TOKENS_BEFORE_FIRST + output_tokens)
        usual = self._usual
        self._usual = late if math.isnan(usual) else usual + SMOOTHING * (late - usual)
        self._since_cut += 1
        if self._unripe:
            # Those that come first are the quickest of all that were sent at first.
            self._unripe = 2 * in_flight if self._unripe < 0 else self._unripe - 1
            self._grow_if_used(in_flight)
            return
        self._best = min(self._best * FORGETTING, self._usual)
        if self._usual > SLOWED * self._best:
            self._cut(SLOWED_CUT, in_flight)
        else:
            self._grow_if_used(in_flight)

    def throttled(self, *, in_flight: int) -> None:
        """Take in that the provider refused a request, or was overloaded."""
        self._cut(CUT, in_flight)

    def _grow_if_used(self, in_flight: int) -> None:
        if 2 * in_flight < self.bound:
            return  # more would not be used
        self._toward_next += self._in_round
        if self._starting or self._toward_next >= self.bound:
            self._toward_next = max(0, self._toward_next - self.bound)
            self.bound = min(self.bound + 1, self._most)
            self._grown += 1
            if self._grown >= self._in_round:
                self._grown = 0
                self._in_round += 1

    def _cut(self, share: float, in_flight: int) -> None:
        if self._since_cut < 0:
            return
        self._starting = False
        self.bound = max(LEAST, math.floor(self.bound * share))
        self._since_cut = -max(in_flight, 1)
        self._toward_next = self._grown = 0
        self._in_round = 1
