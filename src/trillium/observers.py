"""The one callback across the layers: told what happens, never asked.

An observer's methods are plain functions, called where the thing happens; they must be quick
and must not raise. No observer is the default, and costs nothing.
"""

from __future__ import annotations

from typing import Protocol

from trillium.completions import Outcome
from trillium.errors import Fault


class Observer(Protocol):
    """What a progress line, a log or a tracer is told. All times are in seconds."""

    def admitted(self, *, index: int, model: str, endpoint: str) -> None:
        """A request left the queue: its first attempt is about to be sent."""

    def attempt_started(self, *, index: int, attempt: int) -> None:
        """Attempt number `attempt`, from 1, is being sent."""

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:
        """The attempt is over; `fault` is None if it answered."""

    def chunk(self, *, index: int, characters: int) -> None:
        """A read of a stream brought so many characters."""

    def retry(self, *, index: int, attempt: int, fault: Fault, delay_s: float) -> None:
        """Attempt `attempt` failed; the next comes after `delay_s` at the earliest."""

    def outcome(self, outcome: Outcome) -> None:
        """A request is done, for good or ill."""
