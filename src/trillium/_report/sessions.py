"""When a batch was at work: the union of the times of its requests, in few spans.

A batch that was interrupted in the evening and went on in the morning has a night in between,
beside which nothing of it could be seen in a plot. So pauses are left out of the time axis.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, final

import attrs

FIRST_TOLERANCE_S: Final = 60.0
"""A pause up to this long is part of the work: slow starts, long waits for a quota."""
MAX_SPANS: Final = 256
"""When there are more, pauses have to be longer to count as such."""
MAX_SESSIONS: Final = 24
"""As before, for what is shown in the end."""


@final
@attrs.frozen
class Session:
    """One time of work without a long pause."""

    started_at: float
    """Unix time."""
    ended_at: float
    begins_s: float
    """Seconds of work before it."""

    @property
    def length_s(self) -> float:
        """How long it was."""
        return self.ended_at - self.started_at


@final
class Activity:
    """Takes the times of requests in whatever order; what it keeps does not grow with them."""

    __slots__ = ("_ends", "_starts", "_tolerance_s")

    def __init__(self) -> None:
        self._tolerance_s = FIRST_TOLERANCE_S
        self._starts: list[float] = []
        self._ends: list[float] = []

    def add(self, start: float, end: float) -> None:
        """Take the time of a request, in Unix time."""
        starts, ends = self._starts, self._ends
        tolerance = self._tolerance_s
        if ends and starts[-1] <= start and end <= ends[-1]:
            return  # within the last one, as nearly all are
        # The first span that ends near enough before, and the first that begins too late.
        first = bisect_left(ends, start - tolerance)
        last = bisect_right(starts, end + tolerance)
        if first < last:
            start = min(start, starts[first])
            end = max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]
        if len(starts) > MAX_SPANS:
            self._widen(MAX_SPANS // 2)

    def _widen(self, count: int) -> None:
        """Let so few spans remain, by more tolerance."""
        while len(self._starts) > count:
            self._tolerance_s *= 2
            spans = list(zip(self._starts, self._ends, strict=True))
            self._starts, self._ends = [], []
            for start, end in spans:
                if self._ends and start - self._ends[-1] <= self._tolerance_s:
                    self._ends[-1] = end
                else:
                    self._starts.append(start)
                    self._ends.append(end)

    def sessions(self) -> tuple[Session, ...]:
        """Return the times of work, in order."""
        self._widen(MAX_SESSIONS)
        found: list[Session] = []
        before = 0.0
        for start, end in zip(self._starts, self._ends, strict=True):
            found.append(Session(start, end, before))
            before += end - start
        return tuple(found)


@final
class WorkClock:
    """Turns Unix time into seconds of work since the start."""

    __slots__ = ("_sessions", "_starts", "length_s")

    def __init__(self, sessions: tuple[Session, ...]) -> None:
        self._sessions = sessions
        self._starts = [session.started_at for session in sessions]
        self.length_s = sum(session.length_s for session in sessions)
        """How long the work took in all."""

    def at(self, moment: float) -> float:
        """Return the seconds of work up to a moment; of one in a pause, up to that pause."""
        place = max(0, bisect_right(self._starts, moment) - 1)
        session = self._sessions[place]
        inside = min(max(moment - session.started_at, 0.0), session.length_s)
        return session.begins_s + inside
