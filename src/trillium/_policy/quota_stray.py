"""Whether refusals that no known limit explains come of a limit at all.

A provider that is busy refuses a request now and then, whatever the limits. Where headers tell
of limits, and of enough left in them, such a refusal says nothing about the rate: to slow down
for it made a job of ten requests in a second last 1.5 times as long, with holds for a sixth of the
time. But a provider may have a limit besides that no header tells of (Mistral's requests in a
second), and its refusals give themselves away:

- they come sooner one after the other than stray ones would, or
- about as much is let in between any two of them. Stray ones come at any time: of six, all gaps
  are within one and a half times the least once in 6,000 times.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

import attrs

STRAY_SHARE: Final = 0.01
"""Of all requests, who meets a stray refusal: a lot, for a provider that works."""
LEAST_LIKELY: Final = 5e-6
"""Refusals that are less likely than this to have come so soon, were they stray, are not. Every
refusal is looked at with all that came before, so most of this is used up by chance: with one in
fifty refused for nothing, one refusal in 2,000 is taken for a limit's."""
GAPS: Final = 6
"""So many times between two refusals are looked at."""
ALIKE: Final = 1.5
"""Times that a limit makes are within so many times the least."""


@final
@attrs.define(eq=False, repr=False)
class Strays:
    """The last refusals that nothing explains."""

    _gaps: deque[int] = attrs.field(factory=lambda: deque(maxlen=GAPS), init=False)
    """How many were let in before each; the newest is last."""
    _accepted: int = attrs.field(default=0, init=False)

    def refused(self, accepted: int) -> bool:
        """Take in a refusal; return whether a limit must be the cause of the last ones.

        Args:
            accepted: How many were ever let in until then.
        """
        gaps = self._gaps
        gaps.append(max(1, accepted - self._accepted))
        self._accepted = accepted
        most = 0
        for count, gap in enumerate(reversed(gaps), 1):
            most = max(most, gap)
            if count > 1 and likelihood(most, count) <= LEAST_LIKELY:
                return True
        return len(gaps) == GAPS and most <= ALIKE * min(gaps)


def likelihood(most: int, count: int, share: float = STRAY_SHARE) -> float:
    """Return how likely so many stray refusals come with no more than `most` let in before each."""
    return min(1.0, share * most) ** count
