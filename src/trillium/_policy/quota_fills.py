"""How far apart a provider's fills of a bucket may be, by what its headers show.

Most fill continuously, or by the second. Some let in so much in ten seconds, or in a minute, and
then start anew. From outside that is a bucket that is filled in longer steps, and whoever takes it
for one that is filled by the second has emptied it long before the next.

A bucket that nobody else uses seems to shrink from one fill to the next, since what we reckon to
have come back has not. So if it shrinks by more than a step's worth, the steps are longer, and the
next longer are reckoned with: `STEPS_S`. Others that use the limit too look the same; then less is
had in hand than could be, and no less gets through. Where nothing shows that any more for a while,
the steps are short again.

That shows only with time. So for the first two steps (a longer one shows itself in these, wherever
in it they are), what would go until an answer tells of it is kept in reserve. That costs
nothing where fills do come: what was not used of the bucket then is there later.
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

STEPS_S: Final = (1.0, 10.0, 60.0)
"""Between two fills, in seconds; Azure looks at windows of one and of ten."""
STEP_S: Final = STEPS_S[0]
UNSURE_S: Final = 0.25
"""How much more must be missing to be believed: requests overtake each other on their way."""
TRIAL_S: Final = 2 * (STEP_S + UNSURE_S)
LAG: Final = 1.5
"""How many times as late as the latest answer the one may be that tells."""
QUIET_STEPS: Final = 3.0
"""After so many steps without such a time they are short again."""


@final
@attrs.define(eq=False, repr=False)
class Fills:
    """Those of one bucket."""

    most_s: float
    """Never more apart than this: the limit's window."""
    step_s: float = attrs.field(init=False)
    """How far apart they may be."""
    reserve_s: float = attrs.field(default=0.0, init=False)
    """How much to keep in reserve, in seconds of the rate, as long as that is on trial."""
    _trial_until: float = attrs.field(default=-math.inf, init=False)
    _seen_at: float = attrs.field(default=-math.inf, init=False)
    _short_since: float = attrs.field(default=-math.inf, init=False)
    """Since when nothing showed that they are far apart."""

    def __attrs_post_init__(self) -> None:
        self.step_s = min(STEP_S, self.most_s)

    def see(self, lack_s: float, sent_at: float, now: float) -> bool:
        """Take in what a response told; return whether anything else is to be reckoned with.

        Args:
            lack_s: How long nothing was filled in, at least: by how much it has shrunk.
            sent_at: When the request was sent.
            now: When the response came.
        """
        before = self.step_s, self.reserve_s
        if self._trial_until == -math.inf:
            self._trial_until = sent_at + TRIAL_S
        if sent_at < self._trial_until:
            self.reserve_s = max(self.reserve_s, UNSURE_S + LAG * (now - sent_at))
        else:
            self.reserve_s = 0.0
        if lack_s > self.step_s + UNSURE_S:
            longer = (step_s for step_s in STEPS_S if step_s > self.step_s)
            self.step_s = min(next(longer, self.most_s), self.most_s)
        if lack_s > STEP_S + UNSURE_S or sent_at - self._seen_at > STEP_S:
            self._short_since = sent_at
        elif sent_at - self._short_since > QUIET_STEPS * self.step_s:
            self.step_s = min(STEP_S, self.most_s)
        self._seen_at = max(self._seen_at, sent_at)
        return before != (self.step_s, self.reserve_s)
