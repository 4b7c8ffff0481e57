"""What happened when: sums in a fixed number of bins over the time of work."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, final

import attrs

from trillium._money.amounts import EXACT, ZERO
from trillium._report.sessions import Session, WorkClock

MAX_BINS: Final = 160
"""More than a plot could show apart."""
REQUESTS_PER_BIN: Final = 5
"""At least so many on average: fewer would be noise."""


@final
@attrs.frozen(kw_only=True)
class TimeBin:
    """A stretch of the time of work, and what happened in it."""

    begins_s: float
    """Seconds of work since the start."""
    ends_s: float
    completed: int
    failed: int
    output_tokens: int
    in_flight: float
    """Mean number of requests that had been sent and had no outcome yet; those that waited for
    their next attempt are among them."""
    cost_usd: Decimal
    """Of the completions of this stretch whose cost is known."""

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.ends_s - self.begins_s


@final
@attrs.frozen(kw_only=True)
class Timeline:
    """The work of a batch over time. Pauses of more than a minute are left out."""

    sessions: tuple[Session, ...]
    work_s: float
    """Seconds of work, pauses left out."""
    bins: tuple[TimeBin, ...]

    @property
    def started_at(self) -> float:
        """When the first request was sent, in Unix time."""
        return self.sessions[0].started_at

    @property
    def ended_at(self) -> float:
        """When the last outcome was there, in Unix time."""
        return self.sessions[-1].ended_at

    @property
    def most_in_flight(self) -> float:
        """The highest mean of a bin."""
        return max(bin_.in_flight for bin_ in self.bins)


@final
class Binning:
    """Takes requests by their time, and makes a timeline of them."""

    def __init__(self, sessions: tuple[Session, ...], *, requests: int) -> None:
        """Begin.

        Args:
            sessions: All requests are within these.
            requests: About how many there will be.
        """
        self._sessions = sessions
        self._clock = WorkClock(sessions)
        self._count = max(12, min(MAX_BINS, requests // REQUESTS_PER_BIN))
        # All at one instant is a very short time, not none.
        self._width_s = max(self._clock.length_s, 1e-3) / self._count
        self._completed = [0] * self._count
        self._failed = [0] * self._count
        self._tokens = [0] * self._count
        self._cost = [ZERO] * self._count
        self._partly_busy_s = [0.0] * self._count
        self._wholly_busy = [0] * (self._count + 1)
        """From which bin on how many more (or fewer) requests are in flight for all of a bin."""

    def add(
        self, start: float, end: float, *, completed: bool, tokens: int, cost_usd: Decimal | None
    ) -> None:
        """Take a request that was in flight from `start` to `end`, in Unix time."""
        width = self._width_s
        begin, finish = self._clock.at(start), self._clock.at(end)
        first, last = self._bin(begin), self._bin(finish)
        if completed:
            self._completed[last] += 1
            self._tokens[last] += tokens
            if cost_usd is not None:
                self._cost[last] = EXACT.add(self._cost[last], cost_usd)
        else:
            self._failed[last] += 1
        if first == last:
            self._partly_busy_s[first] += finish - begin
        else:
            self._partly_busy_s[first] += (first + 1) * width - begin
            self._partly_busy_s[last] += finish - last * width
            self._wholly_busy[first + 1] += 1
            self._wholly_busy[last] -= 1

    def _bin(self, work_s: float) -> int:
        return min(int(work_s / self._width_s), self._count - 1)

    def timeline(self) -> Timeline:
        """Return what was taken."""
        bins = []
        busy = 0
        for place in range(self._count):
            busy += self._wholly_busy[place]
            bins.append(
                TimeBin(
                    begins_s=place * self._width_s,
                    ends_s=(place + 1) * self._width_s,
                    completed=self._completed[place],
                    failed=self._failed[place],
                    output_tokens=self._tokens[place],
                    in_flight=max(0.0, busy + self._partly_busy_s[place] / self._width_s),
                    cost_usd=self._cost[place],
                )
            )
        return Timeline(sessions=self._sessions, work_s=self._clock.length_s, bins=tuple(bins))
