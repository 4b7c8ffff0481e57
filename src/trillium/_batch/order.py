"""In which order finished outcomes are given out: as they complete, or as the source had them."""

from __future__ import annotations

from collections import deque
from typing import final

import attrs

from trillium.completions import Outcome
from trillium.errors import LocalProtocolError


@final
@attrs.define(eq=False, repr=False)
class Completed:
    """Outcomes in the order of completion."""

    _outcomes: deque[Outcome] = attrs.field(factory=deque, init=False)

    def push(self, outcome: Outcome) -> bool:
        """Take an outcome; return whether one can be popped now."""
        self._outcomes.append(outcome)
        return True

    def pop(self) -> Outcome | None:
        """Return the next outcome, or None if there is none yet."""
        return self._outcomes.popleft() if self._outcomes else None


@final
@attrs.define(eq=False, repr=False)
class InOrder:
    """Outcomes in the order of their index; holds back what came before its turn."""

    _held: dict[int, Outcome] = attrs.field(factory=dict, init=False)
    _next: int = attrs.field(default=0, init=False)

    def push(self, outcome: Outcome) -> bool:
        """Take an outcome; return whether one can be popped now.

        Raises:
            LocalProtocolError: There was an outcome of this index already.
        """
        if outcome.index < self._next or outcome.index in self._held:
            raise LocalProtocolError(
                f"a second outcome came of the request with index {outcome.index}"
            )
        self._held[outcome.index] = outcome
        return self._next in self._held

    def pop(self) -> Outcome | None:
        """Return the outcome whose turn it is, or None if it has not come yet."""
        outcome = self._held.pop(self._next, None)
        if outcome is not None:
            self._next += 1
        return outcome
