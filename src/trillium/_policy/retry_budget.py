"""How many retries an endpoint is given, so that an outage is not multiplied.

When everything fails, every request wants its next try; with six attempts each, a provider that
is down meets six times the load that broke it. So retries are paid for:

- each first attempt deposits a share of a retry into a bucket that holds `burst` at most, and
  which is full at the start; a retry that finds a whole one there takes it and goes at once;
- the others are let go one by one, `floor_per_s` a second, in the order in which they asked: a
  small job may always retry.

In any stretch of w seconds at most `share` x (its first attempts) + `floor_per_s` x w + burst + 1
retries are let go. A bucket that is empty *delays*: what could be retried never becomes a failure
for the budget's sake.

After Finagle's `RetryBudget` (deposits of 20 %, and 10 retries a second); there, a retry that the
budget does not cover is dropped.
"""

from __future__ import annotations

import math
from typing import Any, Final, final

import attrs

from trillium.errors import InvalidRequestError

DEFAULT_SHARE: Final = 0.2
"""Finagle's; a provider that fails more than one in five is not well, and waiting is in place."""

DEFAULT_FLOOR_PER_S: Final = 10.0
"""Finagle's."""

DEFAULT_BURST: Final = 50
"""About a window of requests, all of which may meet one short disturbance."""

_WHOLE: Final = 1_000_000
"""One retry, counted in millionths: sums of 0.2 as floats miss 1 by a little."""


def _check_not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value < math.inf:
        msg = f"RetryBudget.{attribute.name} is {value!r}: a number of at least 0 is needed"
        raise InvalidRequestError(msg)


def _check_above_zero(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < math.inf:
        # Without a floor, a job of one request would wait for ever.
        msg = f"RetryBudget.{attribute.name} is {value!r}: a number above 0 is needed"
        raise InvalidRequestError(msg)


# NO_OP, since a class with a validator looks at each setting: `deposit` took 0.5 µs, not 0.1.
@final
@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class RetryBudget:
    """The retries of one endpoint; shared by all its requests.

    Raises:
        InvalidRequestError: A number is out of its range.
    """

    share: float = attrs.field(default=DEFAULT_SHARE, validator=_check_not_negative)
    """Retries per first attempt, in the long run; read, never set."""
    floor_per_s: float = attrs.field(default=DEFAULT_FLOOR_PER_S, validator=_check_above_zero)
    """Retries per second that are let go in any case; read, never set."""
    burst: int = attrs.field(default=DEFAULT_BURST, validator=_check_not_negative)
    """Retries that may go at once, as many as the bucket holds; read, never set."""
    _deposit: int = attrs.field(init=False)
    _full: int = attrs.field(init=False)
    _level: int = attrs.field(init=False)
    _next_at: float = attrs.field(init=False, default=-math.inf)
    """When the floor lets the next one go."""

    def __attrs_post_init__(self) -> None:
        self._deposit = round(self.share * _WHOLE)
        self._full = self._level = self.burst * _WHOLE

    def deposit(self) -> None:
        """Take note of a first attempt."""
        self._level = min(self._level + self._deposit, self._full)

    def earliest(self, now: float) -> float:
        """Return when a retry that asked now would be let go; reserves nothing."""
        return now if self._level >= _WHOLE else max(now, self._next_at)

    def withdraw(self, now: float) -> float:
        """Reserve a retry.

        What is reserved and not used is lost: the next ones go no earlier for it.

        Args:
            now: The time, in seconds of any clock that does not run back.

        Returns:
            When the retry may go: `now`, or later.
        """
        at = self.earliest(now)
        if self._level >= _WHOLE:
            self._level -= _WHOLE
        else:
            self._next_at = at + 1 / self.floor_per_s
        return at
