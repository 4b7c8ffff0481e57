"""What a pace counts: requests, or their tokens, or something in between while that is likely.

A provider that refuses and tells nothing does not say either what it counts. Where it counts
tokens and the pace counts requests, each request takes another share of the limit: what is sent
evenly comes unevenly, and a rate that was found in a few seconds is chance. So a request costs
a pace a share for itself and a share by its size, in parts of a usual one's. The latter grows as
it becomes more likely that tokens are what is limited. Two things tell it:

- Who is refused. Where requests are counted it is anybody, where tokens are, rather a large one:
  what is left is too little for it the likelier, the more it takes. So the size of the refused one
  over the usual size is the ratio of the two likelihoods.
- What is let in between two refusals. Where it is the same as before, that is what is limited.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final, final

import attrs

from trillium._policy.quota_bucket import Amounts

USUAL_OF: Final = 300
"""How many requests say what a usual one is. It must not change later: a rate is told in it."""
LEAST_USUAL: Final = 10
"""So few say nothing yet."""
MOST_OF_ONE: Final = 1.5
"""What one refusal can say by its size, and by what was let in before, as a logarithm: sizes are
estimates ..."""
MOST_OF_TIMES: Final = 1.0
"""... and a limit may have changed."""
MOST_SURE: Final = 4.0
"""The most that all say together: what is limited may change."""
SHARPNESS: Final = 0.5
"""Makes a share of the evidence: even odds are none, e to one nearly a half. (Even odds as a half
were tried: where requests are limited, one in twelve more were refused.)"""
SAME: Final = 0.7, 1.4
"""Rates further apart than this are two limits', and tell nothing of what is counted."""
STEP_S: Final = 0.5
"""How uncertain what was let in between two refusals is, in seconds of the rate."""


@final
@attrs.define(eq=False, repr=False)
class PaceUnit:
    """What is known of what a limit counts."""

    MOST_RATE: ClassVar[float] = 400.0
    """In a second of more requests than these, sizes even out; to measure each takes 7 µs."""

    weight: float = 0.0
    """The share of what a request costs that its size makes."""
    _evidence: float = 0.0
    _requests: int = 0
    _tokens: float = 0.0
    _usual: float = 0.0
    """How many tokens a usual request takes; 0 while that is not known."""
    _since: int = 0
    """How many were let in since the last refusal that counted ..."""
    _tokens_since: float = 0.0
    """... and how many tokens these took."""

    def priced(self, amounts: Amounts) -> Amounts:
        """Return what a request takes, with what it takes of the pace."""
        requests, tokens, given, out, _ = amounts
        if not tokens or self._requests < LEAST_USUAL or self._usual <= 0.0:
            return amounts
        weight = self.weight
        return (requests, tokens, given, out, 1.0 - weight + weight * tokens / self._usual)

    def let_in(self, tokens: float) -> None:
        """Take in that a request was sent; 0 tokens: it was not measured."""
        if not tokens:
            return
        self._since += 1
        self._tokens_since += tokens
        if self._requests < USUAL_OF:
            self._requests += 1
            self._tokens += tokens
            self._usual = self._tokens / self._requests

    def corrected(self, tokens: float) -> None:
        """Take in that a request took so much more than was thought, or less."""
        self._tokens_since += tokens
        if 0 < self._requests < USUAL_OF:
            self._tokens += tokens
            self._usual = self._tokens / self._requests

    def not_let_in(self, tokens: float) -> None:
        """Take in that a request was refused that had been sent; as `let_in`."""
        if not tokens:
            return
        self._since -= 1
        self._tokens_since -= tokens

    def counted(self, accepted: int) -> float:
        """Return what so many took, of those let in since the last refusal that counted."""
        return accepted * (1.0 + self.weight * (self._size_since() - 1.0))

    def refused(
        self, accepted: int, elapsed_s: float, *, tokens: float, last: float, last_s: float
    ) -> None:
        """Take in a refusal that counts, and begin to count anew.

        Args:
            accepted: How many were let in since the last.
            elapsed_s: In how many seconds.
            tokens: How many tokens the refused one takes; 0 where that is not known.
            last: The rate that had been found before; 0 if none had.
            last_s: In how many seconds that was found.
        """
        if tokens > 0.0 and self._requests >= LEAST_USUAL and self._usual > 0.0:
            self._weigh(math.log(tokens / self._usual), MOST_OF_ONE)
            requests = accepted / elapsed_s
            low, high = SAME
            if low * last < self.counted(accepted) / elapsed_s < high * last:
                noise = (STEP_S * last) ** 2 * (elapsed_s**-2 + last_s**-2)
                by_size = requests * self._size_since()
                by_count = (requests - last) ** 2
                self._weigh((by_count - (by_size - last) ** 2) / (2.0 * noise), MOST_OF_TIMES)
            self.weight = max(0.0, math.tanh(SHARPNESS * self._evidence))
        self._since, self._tokens_since = 0, 0.0

    def _size_since(self) -> float:
        """Return how large those let in since the last refusal were, over the usual size."""
        if self._since <= 0 or self._usual <= 0.0:
            return 1.0
        return max(0.0, self._tokens_since) / (self._since * self._usual)

    def _weigh(self, evidence: float, most: float) -> None:
        self._evidence += max(-most, min(most, evidence))
        self._evidence = max(-MOST_SURE, min(MOST_SURE, self._evidence))
