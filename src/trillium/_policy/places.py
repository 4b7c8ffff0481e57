"""A bound on how many may be held at once, without a runtime: it fits admission's `Permit`."""

from __future__ import annotations

import math
from typing import final

import attrs


@final
@attrs.define(eq=False)
class Places:
    """A permit for so many at once, which can be shut; a tenth of the cost of trio's."""

    total_tokens: float = math.inf
    """How many may be held at once; lowered, those that are held are left alone."""
    shut: bool = False
    """Whether none is given out for now."""
    borrowed_tokens: int = attrs.field(default=0, init=False)

    @property
    def available_tokens(self) -> float:
        """How many may still be taken."""
        return -1 if self.shut else self.total_tokens - self.borrowed_tokens

    def acquire_on_behalf_of_nowait(self, _: object, /) -> None:
        """Take one."""
        self.borrowed_tokens += 1

    def release_on_behalf_of(self, _: object, /) -> None:
        """Give it back."""
        self.borrowed_tokens -= 1
