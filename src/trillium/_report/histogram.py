"""Percentiles of any number of values in a few kilobytes: counts in buckets of growing width.

A bucket's upper end is 2^(1/64) of its lower one, 1.1 % more, and what is told of it is its
middle: so a percentile is within 0.55 % of the value that stands at its rank. Count, least, most
and sum are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Self, final

import attrs

BUCKETS_PER_DOUBLING: Final = 64
_LEAST: Final = 1e-6
"""Smaller values are counted as this: lines hold microseconds."""


@final
@attrs.define(eq=False)
class Histogram:
    """Values from 0 up, such as seconds."""

    counts: dict[int, int] = attrs.field(factory=dict)
    """By bucket; the bucket of a value is the whole part of 64 × its logarithm to base 2."""
    count: int = 0
    total: float = 0.0
    least: float = math.inf
    most: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        bucket = math.floor(math.log2(max(value, _LEAST)) * BUCKETS_PER_DOUBLING)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)

    def percentile(self, percent: float) -> float:
        """Return a percentile by nearest rank, within 0.55 %; 0 and 100 exactly.

        Args:
            percent: From 0 to 100.
        """
        assert self.count, "nothing has percentiles"
        rank = max(1, math.ceil(percent * self.count / 100))
        if rank >= self.count:
            return self.most
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return min(max(_middle(bucket), self.least), self.most)
        raise AssertionError("the counts are those of the values")

    def merge(self, other: Histogram) -> None:
        """Count all values of another one, too."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    def bars(self, count: int) -> Iterator[tuple[float, float, int]]:
        """Yield neighbouring ranges that hold all values, each (from, to, how many).

        Ranges are as wide as each other on a logarithmic scale, and whole buckets; so there may
        be fewer than asked for.

        Args:
            count: How many at most.
        """
        if not self.counts:
            return
        first, last = min(self.counts), max(self.counts)
        width = -(-(last - first + 1) // count)
        for start in range(first, last + 1, width):
            held = sum(self.counts.get(bucket, 0) for bucket in range(start, start + width))
            yield _edge(start), _edge(start + width), held

    def summary(self) -> Summary | None:
        """Return its figures; None if there are no values."""
        return Summary.of(self)


def _edge(bucket: int) -> float:
    return math.exp2(bucket / BUCKETS_PER_DOUBLING)


def _middle(bucket: int) -> float:
    return math.exp2((bucket + 0.5) / BUCKETS_PER_DOUBLING)


@final
@attrs.frozen(kw_only=True)
class Summary:
    """A histogram in figures: percentiles within 0.55 %, the rest exact."""

    count: int
    mean: float
    least: float
    p25: float
    p50: float
    p75: float
    p90: float
    p99: float
    most: float

    @classmethod
    def of(cls, histogram: Histogram) -> Self | None:
        """Return the figures of a histogram; None if it has no values."""
        if not histogram.count:
            return None
        p25, p50, p75, p90, p99 = map(histogram.percentile, (25, 50, 75, 90, 99))
        return cls(
            count=histogram.count,
            mean=histogram.total / histogram.count,
            least=histogram.least,
            p25=p25,
            p50=p50,
            p75=p75,
            p90=p90,
            p99=p99,
            most=histogram.most,
        )
