"""How often what comes up in the trio thread crosses to the host: a decision, the clock passed in.

To cross wakes the other thread, which costs as much as ten chunks; and a hundred streams that are
read at a human pace bring one chunk in each turn. So crossings are held apart, as network cards
hold their interrupts apart: the first goes at once, and while the last one was less than a window
ago, the next waits for the rest of that window, and what comes up meanwhile goes with it.
A stream alone never waits, as its chunks are further apart than that. What somebody waits for as
a whole (an answer, the end of a stream, an error, the end of a cancellation), and what would hold
the sender up, is urgent: it goes at the end of the turn, and takes with it what was held.

```text
            hold                   hurry
  NOTHING ────────▶ HELD ───────────────────▶ URGENT
     ▲                │ due: crossed            │ due: crossed
     └────────────────┴─────────────────────────┘
```
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

WINDOW_S: Final = 0.002
"""Crossings that are not urgent are as far apart. Eye and network do not notice it; among a
hundred streams of 40 chunks a second it lets eight cross together."""


@final
@attrs.define(eq=False)
class Moderation:
    """When what has gathered crosses. Times are seconds of one clock, of any origin."""

    window_s: float = WINDOW_S
    _crossed_at: float = attrs.field(default=-math.inf, init=False)
    _due_at: float = attrs.field(default=math.inf, init=False)
    _dense: bool = attrs.field(default=False, init=False)
    """Whether the last crossing came soon after the one before, and was not urgent."""

    @property
    def due_at(self) -> float:
        """When to cross: `inf` if there is nothing to, `-inf` if it is urgent."""
        return self._due_at

    @property
    def rests_until(self) -> float:
        """Until when what comes up could not cross, or would not alone; `inf`: it could now.

        While crossings are less than two windows apart, more is to be expected.
        """
        if self._due_at == math.inf and self._dense:
            return self._crossed_at + self.window_s
        return self._due_at

    def hold(self) -> None:
        """Note that there is something, which may wait for what else comes up."""
        if self._due_at == math.inf:
            self._due_at = self._crossed_at + self.window_s

    def hurry(self) -> None:
        """Let what there is go at the end of this turn; without any, nothing is changed."""
        if self._due_at != math.inf:
            self._due_at = -math.inf

    def is_due(self, now: float) -> bool:
        """Whether to cross now; if so, it is taken for done."""
        if now < self._due_at:
            return False
        soon = now - self._crossed_at < 2 * self.window_s
        self._dense = soon and self._due_at != -math.inf
        self._crossed_at = now
        self._due_at = math.inf
        return True
