"""A bound on how many may be in flight, told when some may be already.

Where a bound is told as a client is opened, each request takes a permit of it (`Places`). One that
is told later finds requests under way that took none, and others that wait for what they were told
to need. So it counts what is in flight where that is counted in any case, by the meters, and
admission asks it of whoever is about to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final

import attrs


class Counts(Protocol):
    """What knows how many are in flight, as a `Meter` does."""

    @property
    def in_flight(self) -> int:
        """How many are."""


@final
@attrs.frozen
class InFlightBound:
    """Those that hold for one model: its own, and its endpoint's."""

    told: Sequence[tuple[int, Sequence[Counts]]]
    """So many at most, of all that these count together."""

    def is_full(self) -> bool:
        """Whether nobody may go. O(models of the endpoint)."""
        return any(sum(each.in_flight for each in of) >= most for most, of in self.told)
