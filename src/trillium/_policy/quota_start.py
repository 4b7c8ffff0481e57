"""How many are sent to a provider of which nothing is known yet: a slow start.

Whoever sends all that may be in flight at once learns of a small limit by a volley of refusals:
500 requests a minute, the least that most paid accounts have, are some 20 in two seconds where
they are enforced so, and fifty in flight are more. A refusal is soon back, long before most
answers; so a few are sent, and two more for each response (as TCP's slow start, RFC 5681, 3.1),
and twice as many for each second in which none came, since an answer may take a minute.

Those two do not go at the same instant, nor do all that become free as several answers come
together: else the first refusal would be three. They are let go one after the other, so far
apart that `IN_A_ROUND` go in the time of the quickest response.

It is over with the first limit that is known, by headers or by a refusal, and after `ENOUGH`
responses: then how many may be in flight is all that says how fast requests go.
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

FIRST: Final = 20
"""So many go at once."""
ENOUGH: Final = 100
"""After so many responses nothing would be held up any more: five times as many may be open."""
IN_A_ROUND: Final = 80
"""Four times as many as at first, so that it is hardly slower than all at once."""
WAIT_S: Final = 1.0
"""How long a response is waited for; a refusal does not take longer."""


@final
@attrs.define(eq=False, repr=False)
class SlowStart:
    """What may still be sent."""

    left: int = FIRST
    _volley: int = FIRST
    _responses: int = 0
    _owed: int = 0
    """How many more may go, one after the other ..."""
    _apart_s: float = math.inf
    """... and how far apart ..."""
    _next_at: float = -math.inf
    """... the next not before then."""
    _until: float = math.inf
    """When more may go, if no response comes before; infinite while nobody waits."""

    def ready_at(self, now: float) -> float:
        """Return when another may go, if no response comes before: `now`, or later."""
        if self.left > 0:
            return now
        if self._owed:
            if now < self._next_at:
                return self._next_at
            self._next_at = now + self._apart_s
            self._owed -= 1
            self.left = 1
            return now
        if self._until == math.inf:
            self._until = now + WAIT_S
        if now < self._until:
            return self._until
        self._volley *= 2
        self.left = self._volley
        self._until = math.inf
        return now

    def responded(self, latency_s: float) -> bool:
        """Take in a response that took so long; return whether the start is over."""
        self._owed += 2
        self._apart_s = min(self._apart_s, latency_s / IN_A_ROUND)
        self._until = math.inf
        self._responses += 1
        return self._responses >= ENOUGH
