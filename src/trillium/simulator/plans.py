"""What is to be done about a request: a status, headers, and steps that spend time or bytes.

Steps are made as they are needed: a stream of a thousand tokens is never whole in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import final

import attrs

from trillium.simulator.ledger import LedgerEntry


@final
@attrs.frozen
class Wait:
    """Let so many seconds pass."""

    seconds: float


@final
@attrs.frozen
class Send:
    """Send a piece of the body; the first one takes status and headers with it."""

    body: bytes
    tokens: int = 0
    """How many tokens of the answer are in it."""


@final
@attrs.frozen
class Reset:
    """Reset the connection; the last step."""


@final
@attrs.frozen
class Cut:
    """Close the connection, although more was promised; the last step."""


@final
@attrs.frozen
class Stall:
    """Keep silent until the client goes away; the last step."""

    keep_alive: bytes = b""
    """What is sent all the same, if anything."""
    every_s: float | None = None
    """Seconds between two of them; None sends none."""


Step = Wait | Send | Reset | Cut | Stall


@final
@attrs.frozen
class Steps:
    """Steps that are made anew whenever they are gone through."""

    _make: Callable[[], Iterable[Step]]

    def __iter__(self) -> Iterator[Step]:
        return iter(self._make())


@final
@attrs.frozen(kw_only=True)
class Plan:
    """What is to be done about one request.

    Whoever carries it out tells `Simulator.end` how it ended.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    """In order; with the length of the body, where that is known."""
    steps: Iterable[Step] = attrs.field(eq=False)
    entry: LedgerEntry
    """The request in the ledger."""
    outcome: str
    """What it will be called there once all steps are done."""
    whole: bool = True
    """Whether the steps send a whole response, be it a wrong one."""
