"""A pace that is found by trying, where a provider refuses and does not say how much it permits.

Additive increase, multiplicative decrease, with three things that a bare AIMD lacks:

- Between two refusals the provider's bucket was empty at both ends, so what it let in, over the
  time between, is its very rate. The pace goes to a little below that, not to a share of
  whatever was tried. Two refusals are enough to find the rate from any start.
- How fast it grows says how little is known. The very first refusal had a full bucket before it,
  or it was a stray one: that pace is a guess, and is soon left behind. A rate that was found in a
  second or two may be wrong by half, where buckets are filled by the second; the longer the time
  was, and the more was let in in it, the slower the pace grows, and the nearer to what was found it
  begins. At the rate itself it all but stands, since each try costs a refusal, and the bucket bears
  what is too much for the longer the less that is. The longer there was no cut, the faster it
  grows: a limit that was raised is found again in a minute or two. Times that show the same rate,
  as far as can be told, tell it together: at a few requests in a second this halves the refusals.
  There each refusal is a share, too; so once a rate is known within a third, it is tried the more
  rarely the lower it is, unless that was in vain: refused at a pace that had hardly grown.
- Some refusals have nothing to do with the rate. A limit lets in between two refusals what it let
  in before; one that comes when far less was let in is odd, and cuts nothing. Only when several
  are odd in a row is the limit taken for lowered, if they are alike: a lower limit lets in about
  the same each time, while stray refusals come at any time. (Where each of them cut, 2 % of stray
  refusals that ask for a second each brought the pace from 170 requests in a second to two.)
  At a few requests in a second one that is unlikely to be stray is put to the test: the pace falls
  to what was let in, and is soon back if nothing is refused. If the limit was lowered, the next
  refusal comes after the longer time, and tells the new rate the better.
  Where they are known to occur, some look as if a limit had led to them, by chance: if the next
  refusal is odd, the pace goes back to what it was before the cut.

What a pace counts is found out besides (`quota_unit`).

A pace that nobody has waited for in `IDLE_S` is given up.

Refusals of requests that were sent before the pace was last cut say nothing new.
A pace grows only while requests wait for it.
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

from trillium._policy.quota_bucket import PACED, Bucket
from trillium._policy.quota_stray import STRAY_SHARE, likelihood
from trillium._policy.quota_unit import PaceUnit
from trillium.limits import Counted

FIRST_SHARE: Final = 0.9
"""Of the rate at the first refusal. A full bucket may have helped it; if so, there is a second."""
FOUND_SHARE: Final = 0.96
"""Of the rate that was found between two refusals ..."""
MOST_SHARE: Final = 0.985
"""... and where that took so long ..."""
SHARE_S: Final = 1.5
"""... that so much of time's worth is less than the difference: see `_share`."""
WORST_CUT: Final = 0.25
"""The most that one refusal can cut."""
STEP_S: Final = 1.0
"""How much time's worth a bucket that is filled in steps may have had too much, or too little."""
SHORT_S: Final = 1.0
"""Refusals that come sooner after the last cut do not count: nothing can be measured in between,
and a bucket that is filled by the second may have had no fill."""
ODD_SHARE: Final = 0.7
"""A refusal that comes when less than this share of a proved rate was let in is odd ..."""
MOST_ODD: Final = 6
"""... and after so many of them in a row they are looked at: are they alike, or too many?"""
LEAST_DOUBT: Final = 0.01
"""Fewer are enough where stray ones would come so soon one after the other with no more than this
likelihood; at a few requests in a second each refusal is a share."""
DOUBT: Final = 0.05
"""A refusal after less than this share of the most that were let in before one is put to the
test."""
TESTED_SHARE: Final = 0.9
"""If the next then comes at less than this share of the proved rate, the limit was lowered."""
FEW_RATE: Final = 20.0
"""So few requests in a second are few: each refusal is a share ..."""
FALLEN: Final = 0.25
"""... unless the pace is at less than this share of what was let in before ..."""
FEW_SHARE: Final = 0.5
"""... and while a rate is uncertain it is tried by so much more rarely, and that by the rate ..."""
KNOWN_S: Final = 3.0
"""... if it was found in so many seconds; in less, it may be far off ..."""
LEAST_FEW: Final = 0.25
"""... and a raised limit must be found: of the time since the last cut at least so much counts."""
VAIN: Final = 1.1
"""A pace that was refused at no more than so many times its rate was not tried: it is unknown."""
MOST_BACK: Final = 1.5
"""A pace goes back to no more than so many times the proved rate: else it could run away."""
NO_STRAY_S: Final = 20.0
"""Where there was no refusal for so long before one that the rate explains, none are stray."""
MOST_STRAY: Final = 0.1
"""No more than this share of requests meets a stray refusal."""
ALIKE: Final = 0.5
"""What a limit lets in between two refusals is at least this share of the most, noise aside."""
LONG_S: Final = 100.0
"""What was found longer ago says little about now."""
GROWTH: Final = ((15.0, 0.002), (40.0, 0.006), (80.0, 0.012), (math.inf, 0.03))
"""Until so many seconds after the last cut, the pace grows by this share each second."""
UNSURE_GROWTH: Final = 0.2
"""The pace grows by this share each second, over the seconds in which its rate was found ..."""
NOISE_GROWTH: Final = 0.03
"""... and this, over the root of how many were let in in these: if tokens are limited, their sum
is as uncertain ..."""
STRAY_GROWTH: Final = (((10.0, 0.006), (40.0, 0.012), (math.inf, 0.03)), 0.4)
"""The same two where there are stray refusals: many a cut was for nothing ..."""
MOST_GROWTH: Final = 0.15
"""... but never by more than this."""
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
    found: float = attrs.field(default=0.0, init=False)
    """The rate that was found in that time; 0 where that was a guess."""
    _proved: float = attrs.field(default=0.0, init=False)
    """The same, or more, if more was let in since."""
    _cut_at: float = attrs.field(default=-math.inf, init=False)
    _before: float = attrs.field(default=0.0, init=False)
    """The rate before the last cut; 0 if the limit had been lowered."""
    _strays: int = attrs.field(default=0, init=False)
    """How many refusals proved to be stray ones."""
    _odd: int = attrs.field(default=0, init=False)
    """How many came in a row that the rate does not explain ..."""
    _odd_since: float = attrs.field(default=0.0, init=False)
    """... since when ..."""
    _odd_accepted: int = attrs.field(default=0, init=False)
    """... how many were let in between these ..."""
    _odd_most: int = attrs.field(default=0, init=False)
    """... and before one of them at most ..."""
    _odd_best: float = attrs.field(default=0.0, init=False)
    """... the rate at which at most ..."""
    _odd_least: float = attrs.field(default=0.0, init=False)
    """... and at least, noise reckoned with."""
    _longest: int = attrs.field(default=0, init=False)
    """How many were let in between two refusals at most."""
    _fastest: float = attrs.field(default=0.0, init=False)
    """The most that was let in in a second, between two refusals."""
    _doubting: bool = attrs.field(default=False, init=False)
    """Whether an odd refusal is put to the test."""
    _in_vain: bool = attrs.field(default=False, init=False)
    """Whether the last cut came though the pace had hardly grown."""
    unit: PaceUnit = attrs.field(factory=PaceUnit, init=False)
    wanted: bool = False
    """Whether a request had to wait for the pace since it last grew."""
    waited_at: float = attrs.field(init=False)
    """When that was last so."""

    def __attrs_post_init__(self) -> None:
        self.waited_at = self._cut_at = self.refused_at
        self.bucket.which = PACED

    @classmethod
    def begin(cls, accepted: int, elapsed_s: float, now: float, *, most: float) -> Pace:
        """Return the pace after a first refusal, when so many had been let in in so long."""
        rate = FIRST_SHARE * max(accepted, 1) / max(elapsed_s, SHORT_S)
        return cls(_bucket(min(max(rate, LEAST_RATE), most)), now, now, SHORT_S)

    def refused(
        self, sent_at: float, now: float, *, news: bool = True, tokens: float = 0.0
    ) -> None:
        """Take in a refusal of a request that was sent then.

        Args:
            sent_at: When it was sent.
            now: When it was refused.
            news: Whether it says that the pace is too fast; else it is counted, no more.
            tokens: How many it takes; 0 where that is not known.
        """
        if sent_at < self.refused_at:
            return
        self.accepted -= 1
        self.unit.not_let_in(tokens)
        if not news:
            return
        rate, elapsed_s = self.bucket.rate, now - self.refused_at
        if elapsed_s < SHORT_S:
            return
        accepted = self.accepted
        found = self.unit.counted(accepted) / elapsed_s
        self.unit.refused(
            accepted, elapsed_s, tokens=tokens, last=self.found, last_s=self.found_in_s
        )
        self.refused_at = self.grown_at = self.waited_at = now
        self.accepted = 0
        self._longest = max(self._longest, accepted)
        self._fastest = max(self._fastest, found)
        proved = found if self._strays else _at_least(accepted, elapsed_s)
        self._proved = max(self._proved, proved)
        if found >= (TESTED_SHARE if self._doubting else ODD_SHARE) * self._proved:
            self._before = rate
            self._strays = 0 if elapsed_s > NO_STRAY_S else self._strays + self._odd
            self._in_vain = self.found > 0.0 and rate <= VAIN * self.found
            if not self._strays:
                found, elapsed_s = self._together(found, elapsed_s)
        elif self._is_lowered(accepted, found, now) or self._doubting:
            self._before, self._strays, self._in_vain = 0.0, 0, False
            self._proved = found = self._odd_best
            elapsed_s = now - self._odd_since
        else:
            self._keep(found, accepted, now)
            return
        self._odd, self._doubting = 0, False
        lowest = max(rate * WORST_CUT, LEAST_RATE)
        self._set(max(lowest, min(found, rate) * _share(elapsed_s)), now)
        self.found, self.found_in_s, self._cut_at = found, elapsed_s, now

    def _keep(self, found: float, accepted: int, now: float) -> None:
        """Go on after an odd refusal: as fast as before, unless it is unlikely to be stray."""
        rate = self.bucket.rate
        if self._strays:
            before = min(self._before, MOST_BACK * self._proved)
            if before > rate:
                self._set(before, now)
        elif self._odd == 1 and self._is_few and accepted <= DOUBT * self._longest:
            self._before, self._doubting = rate, True
            self._set(max(rate * WORST_CUT, LEAST_RATE, found), now)

    def _together(self, found: float, elapsed_s: float) -> tuple[float, float]:
        """Return a rate, and the time that tells it: with the last one, if both may be the same.

        A bucket that is filled in steps may have had one more or one less in either time, and where
        tokens are limited, how many requests these were is chance.
        """
        last, last_s = self.found, self.found_in_s
        steps = STEP_S * (1 / elapsed_s + 1 / last_s)
        noise = math.sqrt(1 / max(1.0, found * elapsed_s) + 1 / max(1.0, last * last_s))
        if abs(found - last) > last * (steps + noise):
            return found, elapsed_s
        both_s = elapsed_s + last_s
        both = found * elapsed_s + last * last_s
        self._proved = _at_least(both, both_s)
        return both / both_s, min(both_s, LONG_S)

    def _is_lowered(self, accepted: int, found: float, now: float) -> bool:
        """Take in an odd refusal; return whether it is one of many that a lower limit explains."""
        self._odd += 1
        if self._odd == 1:  # what came before it may have been let in by the old limit
            self._odd_since, self._odd_least, self._odd_best = now, math.inf, 0.0
            self._odd_accepted, self._odd_most = 0, max(accepted, 1)
            return False
        counted = max(accepted, 1)
        self._odd_accepted += counted
        self._odd_best = max(self._odd_best, found)
        self._odd_least = min(self._odd_least, found * (1.0 + 2.0 / math.sqrt(counted)))
        self._odd_most = max(self._odd_most, counted)
        share = STRAY_SHARE
        if self._is_few:  # where many were let in without any, they are rarer yet
            share = min(share, 1.0 / max(1, self._longest))
        likely = likelihood(self._odd_most, self._odd, share)
        is_sure = likely <= LEAST_DOUBT and not self._strays
        if self._odd < MOST_ODD and not is_sure:
            return False
        if self._odd_least >= ALIKE * self._odd_best or self._odd > MOST_STRAY * self._odd_accepted:
            return True
        self._strays += self._odd
        self._odd = 0
        return False

    def grow(self, now: float, *, most: float) -> bool:
        """Let the pace grow with the time that nothing was refused, if somebody waited for it.

        Returns:
            Whether it was time to look, about once a second.
        """
        elapsed_s = now - self.grown_at
        if elapsed_s < 1.0:
            return False
        self.grown_at = now
        if self.wanted:
            share = self._growth(now - self._cut_at)
            if self._is_testing:
                most = min(most, self._before)
            self._set(min(self.bucket.rate * (1.0 + share * min(elapsed_s, 5.0)), most), now)
            self.wanted = False
            self.waited_at = now
        return True

    @property
    def _is_few(self) -> bool:
        """Whether each refusal is a share."""
        return self.bucket.rate < FEW_RATE and not self._has_fallen

    @property
    def _has_fallen(self) -> bool:
        """Whether far more was let in once: what refusals have made of it may be wrong."""
        return self.bucket.rate < self._fastest * FALLEN

    @property
    def _is_testing(self) -> bool:
        """Whether the pace is on its way back to what it was before an odd refusal."""
        return self._doubting and not self._strays and self.bucket.rate < self._before

    def _growth(self, since_s: float) -> float:
        """Return by which share the pace grows in a second, so long after the last cut."""
        growth, unsure = STRAY_GROWTH if self._strays else (GROWTH, UNSURE_GROWTH)
        few = self.bucket.rate / FEW_RATE
        if self._has_fallen or self._strays or self._in_vain or self.found_in_s < KNOWN_S:
            few = math.inf
        since_s *= min(1.0, max(LEAST_FEW, few))
        share = next(share for until, share in growth if since_s < until)
        if self._is_testing:
            return MOST_GROWTH
        if self._odd and not self._strays:
            return share  # while it is open whether the limit was lowered
        unsure /= self.found_in_s
        if self.found:
            unsure += NOISE_GROWTH / math.sqrt(max(1.0, self.found * self.found_in_s))
            unsure *= min(1.0, FEW_SHARE * few)
        return max(share, min(unsure, MOST_GROWTH))

    def is_idle(self, now: float) -> bool:
        """Whether nobody has had to wait for it for so long that it can be given up."""
        return now - self.waited_at >= IDLE_S

    def _set(self, rate: float, now: float) -> None:
        self.bucket.missing(now)
        self.bucket.set_amount(rate, now)


def _bucket(rate: float) -> Bucket:
    return Bucket(Counted.REQUESTS, rate, 1.0)


def _share(found_in_s: float) -> float:
    """Return how much of a rate a pace begins with, that was found in so many seconds."""
    return min(max(FOUND_SHARE, 1.0 - SHARE_S / found_in_s), MOST_SHARE)


def _at_least(accepted: float, elapsed_s: float) -> float:
    """Return what rate is certain after so many were let in in so long.

    A step's worth may have been left when that time began; and if tokens are limited, the requests
    were small by chance. (Without this a rate that was found in three seconds was too high by half,
    what came after it seemed odd, and the pace grew on: 29 refusals of 967.)
    """
    least = max(0.0, accepted)
    return (least - math.sqrt(least)) / (elapsed_s + STEP_S)
