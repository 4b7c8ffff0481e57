"""How far apart a provider's fills of a bucket may be, by what it refuses.

Most fill continuously, or by the second: so much is kept in reserve. Some let in so much in ten
seconds, or in a minute, and then start anew. From outside that is a bucket that is filled in longer
steps, and whoever takes it for one that is filled by the second has emptied it long before the
next fill. Then requests are refused, with headers that show nothing left, though a step was kept.
After a second flock of these the next longer steps are reckoned with, and believed for a while.

(That the bucket seems to shrink between two fills shows the same before anything is refused. It was
tried, and met no refusals in virtual time. Over sockets requests overtook one another by a second,
and each second job was taken for one of longer steps and lost what it had in hand, for a third more
time.)

Whoever fills so seldom has a bucket that holds a longer step at least; no others are looked at.
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

STEPS_S: Final = (1.0, 10.0, 60.0)
"""Between two fills, in seconds; Azure looks at windows of one and of ten."""
STEP_S: Final = STEPS_S[0]
FLOCKS: Final = 2
"""So many flocks of refusals are no accident; one is, where a fill and a request meet (one request
in 30,000), or where what was sent before anything was known is reckoned too low ..."""
TOGETHER_S: Final = 90.0
"""... if there is no more time than this between them."""
HELD_S: Final = 0.9 * STEPS_S[1]
"""How much a bucket holds at least that is filled so seldom; it may not be quite full at first."""
BELIEVED_S: Final = 600.0
"""How long longer steps are believed after the last refusal."""


@final
@attrs.define(eq=False, repr=False)
class Fills:
    """Those of one bucket."""

    most_s: float
    """Never more apart than this: the limit's window."""
    step_s: float = attrs.field(init=False)
    """How far apart they may be."""
    _flocks: int = attrs.field(default=0, init=False)
    """How many came since that is so, one soon after the other."""
    _refused_at: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.step_s = min(STEP_S, self.most_s)

    def refused(self, held_s: float, sent_at: float, now: float) -> bool:
        """Take in a refusal for want of this limit; return whether the steps are longer now.

        Args:
            held_s: How much the bucket has held, in seconds of the rate.
            sent_at: When the request was sent: before the last refusal, it is of the same flock.
            now: The time.
        """
        self.forget(now)
        last, self._refused_at = self._refused_at, now
        if sent_at < last:
            return False
        self._flocks = self._flocks + 1 if now - last <= TOGETHER_S else 1
        if held_s < HELD_S or self._flocks < FLOCKS:
            return False
        before, self._flocks = self.step_s, 0
        longer = (step_s for step_s in STEPS_S if step_s > before)
        self.step_s = min(next(longer, self.most_s), self.most_s)
        return self.step_s > before

    def forget(self, now: float) -> None:
        """Take the steps for short again if it is long ago that anything was refused."""
        if now - self._refused_at > BELIEVED_S:
            self._flocks = 0
            self.step_s = min(STEP_S, self.most_s)
