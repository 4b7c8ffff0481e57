"""How many are sent to a provider of which nothing is known yet: a slow start.

Whoever sends all that may be in flight at once learns of a small limit by a volley of refusals:
500 requests a minute, the least that most paid accounts have, are some 20 in two seconds where
they are enforced so, and fifty in flight are more. A refusal is soon back, long before most
answers; so a few are sent, and two more for each response (as TCP's slow start, RFC 5681, 3.1),
and twice as many for each second in which none came, since an answer may take a minute.

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
WAIT_S: Final = 1.0
"""How long a response is waited for; a refusal does not take longer."""


@final
@attrs.define(eq=False, repr=False)
class SlowStart:
    """What may still be sent."""

    left: int = FIRST
    _volley: int = FIRST
    _responses: int = 0
    _until: float = math.inf
    """When more may go, if no response comes before; infinite while nobody waits."""

    def ready_at(self, now: float) -> float:
        """Return when another may go, if no response comes before: `now`, or later."""
        if self.left > 0:
            return now
        if self._until == math.inf:
            self._until = now + WAIT_S
        if now < self._until:
            return self._until
        self._volley *= 2
        self.left = self._volley
        self._until = math.inf
        return now

    def responded(self) -> bool:
        """Take in a response; return whether the start is over."""
        self.left += 2
        self._until = math.inf
        self._responses += 1
        return self._responses >= ENOUGH
