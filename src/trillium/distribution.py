"""How values are spread: percentiles, by one method that is stated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self, final

import attrs


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return a percentile by nearest rank: the least value that `percent` % do not exceed.

    It is always one of the values, never a mean of two; of fewer than 100 the 99th is the largest.

    Args:
        ordered: The values in rising order; at least one.
        percent: From 1 to 100.
    """
    # In whole numbers: 0.07 * 100 is a little more than 7 as a float, and would be rank 8.
    return ordered[-(-percent * len(ordered) // 100) - 1]


@final
@attrs.frozen(kw_only=True)
class Distribution:
    """Percentiles of some values, each of them one of the values (nearest rank)."""

    count: int
    """How many values there are, at least 1."""
    least: float
    p25: float
    p50: float
    """The median; of an even number of values the lower of the two in the middle."""
    p75: float
    p90: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """Return the distribution of some values; None if there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        return cls(
            count=len(ordered),
            least=ordered[0],
            p25=percentile(ordered, 25),
            p50=percentile(ordered, 50),
            p75=percentile(ordered, 75),
            p90=percentile(ordered, 90),
            p99=percentile(ordered, 99),
            most=ordered[-1],
        )
