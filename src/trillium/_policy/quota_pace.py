"""A pace that is found by trying, where a provider refuses and does not say how much it permits.

Additive increase, multiplicative decrease, with two things that a bare AIMD lacks:

- Between two refusals the provider's bucket was empty at both ends, so what it let in, over the
  time between, is its very rate. The pace goes to a little below that, not to a share of
  whatever was tried. Two refusals are enough to find the rate from any start.
- How fast it grows says how little is known. The very first refusal had a full bucket before it,
  or it was a stray one: that pace is a guess, and is soon left behind. A rate that was found in a
  second or two may be wrong by half, where buckets are filled by the second; the longer the time
  was, the slower the pace grows. And the longer there is no refusal, the faster: a limit that was
  raised is found again in a minute or two.

- Some refusals have nothing to do with the rate. A limit lets in between two refusals what it let
  in before; one that comes when far less was let in is odd, and cuts nothing. Only when several
  are odd in a row is the limit taken for lowered. (Where each of them cut, 2 % of stray refusals
  that ask for a second each brought the pace from 170 requests in a second to two.)

A pace that nobody has waited for in `IDLE_S` is given up.

Refusals of requests that were sent before the pace was last cut say nothing new.
A pace grows only while requests wait for it.
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

from trillium._policy.quota_bucket import Bucket
from trillium.limits import Counted

FIRST_SHARE: Final = 0.9
"""Of the rate at the first refusal. A full bucket may have helped it; if so, there is a second."""
FOUND_SHARE: Final = 0.96
"""Of the rate that was found between two refusals."""
WORST_CUT: Final = 0.25
"""The most that one refusal can cut."""
SHORT_S: Final = 1.0
"""Refusals that come sooner after the last cut do not count: nothing can be measured in between,
and a bucket that is filled by the second may have had no fill."""
ODD_SHARE: Final = 0.7
"""A refusal that comes when less than this share of a proved rate was let in is odd ..."""
MOST_ODD: Final = 6
"""... and after so many of them in a row the rate is taken for lowered."""
GROWTH: Final = ((10.0, 0.006), (40.0, 0.012), (math.inf, 0.03))
"""Until so many seconds after the last refusal, the pace grows by this share each second."""
UNSURE_GROWTH: Final = 0.25
"""The pace grows by this share each second, over the seconds in which its rate was found ..."""
MOST_GROWTH: Final = 0.15
"""... but by no more than this."""
IDLE_S: Final = 30.0
"""A pace that did not matter for so long matters no more."""
LEAST_RATE: Final = 1 / 60
"""Requests in a second: slower than this nobody learns that more is permitted again."""


@final
@attrs.define(eq=False, repr=False)
class Pace:
    """Requests in a second, as they are let in at last."""

    bucket: Bucket
    refused_at: float
    """When the last refusal came that counted."""
    grown_at: float
    found_in_s: float = 60.0
    """How long the time was in which its rate was found."""
    accepted: int = 0
    """How many requests were sent since, less those that were refused."""
    _proved: float = attrs.field(default=0.0, init=False)
    """The rate that was found last, or more, if more was let in since."""
    _odd: int = attrs.field(default=0, init=False)
    """How many refusals came since that it does not explain."""
    _odd_best: float = attrs.field(default=0.0, init=False)
    """The most that was let in between two of these."""
    wanted: bool = False
    """Whether a request had to wait for the pace since it last grew."""
    waited_at: float = attrs.field(init=False)
    """When that was last so."""

    def __attrs_post_init__(self) -> None:
        self.waited_at = self.refused_at

    @classmethod
    def begin(cls, accepted: int, elapsed_s: float, now: float, *, most: float) -> Pace:
        """Return the pace after a first refusal, when so many had been let in in so long."""
        rate = FIRST_SHARE * max(accepted, 1) / max(elapsed_s, SHORT_S)
        return cls(_bucket(min(max(rate, LEAST_RATE), most)), now, now, SHORT_S)

    def refused(self, sent_at: float, now: float, *, news: bool = True) -> None:
        """Take in a refusal of a request that was sent then.

        Args:
            sent_at: When it was sent.
            now: When it was refused.
            news: Whether it says that the pace is too fast; else it is counted, no more.
        """
        if sent_at < self.refused_at:
            return
        self.accepted -= 1
        if not news:
            return
        rate, elapsed_s = self.bucket.rate, now - self.refused_at
        if elapsed_s < SHORT_S:
            return
        found = self.accepted / elapsed_s
        self.refused_at = self.grown_at = self.waited_at = now
        self.accepted = 0
        self._proved = max(self._proved, found)
        if found < ODD_SHARE * self._proved and self._odd < MOST_ODD:
            self._odd += 1
            self._odd_best = max(self._odd_best, found)
            return
        if self._odd == MOST_ODD:
            self._proved = found = max(found, self._odd_best)
        self._odd, self._odd_best = 0, 0.0
        lowest = max(rate * WORST_CUT, LEAST_RATE)
        self._set(max(lowest, min(found, rate) * FOUND_SHARE), now)
        self.found_in_s = elapsed_s

    def grow(self, now: float, *, most: float) -> None:
        """Let the pace grow with the time that nothing was refused, if somebody waited for it."""
        elapsed_s = now - self.grown_at
        if elapsed_s < 1.0:
            return
        self.grown_at = now
        if self.wanted:
            since_s = now - self.refused_at
            share = next(share for until, share in GROWTH if since_s < until)
            share = max(share, min(UNSURE_GROWTH / self.found_in_s, MOST_GROWTH))
            self._set(min(self.bucket.rate * (1.0 + share * min(elapsed_s, 5.0)), most), now)
            self.wanted = False
            self.waited_at = now

    def is_idle(self, now: float) -> bool:
        """Whether nobody has had to wait for it for so long that it can be given up."""
        return now - self.waited_at >= IDLE_S

    def _set(self, rate: float, now: float) -> None:
        self.bucket.missing(now)
        self.bucket.set_amount(rate, now)


def _bucket(rate: float) -> Bucket:
    return Bucket(Counted.REQUESTS, rate, 1.0)
