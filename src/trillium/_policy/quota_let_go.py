"""How much was let go since a time, coarsely: never less than it was.

An answer's headers tell what was left as its request came in. That may be long ago, while answers
to later requests are there already: what was let go since then is not in it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Final, final

import attrs

MOST_KEPT: Final = 4096
"""Of times: headers are read some 50 times in a second, so it is 40 s at least."""


@final
@attrs.define(eq=False, repr=False)
class LetGo:
    """A count that grows, at some times."""

    _times: list[float] = attrs.field(factory=list)
    _counts: list[int] = attrs.field(factory=list)

    def note(self, now: float, count: int) -> None:
        """Keep what the count is now."""
        self._times.append(now)
        self._counts.append(count)
        if len(self._times) > MOST_KEPT:
            half = MOST_KEPT // 2
            del self._times[:half], self._counts[:half]

    def since(self, then: float, count: int) -> int:
        """Return how much a count that is so much now has grown since then, at most."""
        if then == -math.inf:
            return 0  # nobody knows when
        place = bisect_right(self._times, then) - 1
        return count - (self._counts[place] if place >= 0 else 0)
