"""How long a request, an attempt, the first token and a stall may take."""

from __future__ import annotations

import math
from typing import Final, final

import attrs

from trillium.errors import InvalidRequestError

DEFAULT_REQUEST_S: Final = 120.0
"""A request that took two minutes is seldom worth more waiting; a batch sets what it needs."""


def _check_seconds(_: object, attribute: attrs.Attribute[float], value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = (
            f"Timeouts.{attribute.name} is {value!r}: "
            "give seconds as a number, or None for no bound"
        )
        raise InvalidRequestError(msg)
    if math.isnan(value) or value <= 0:
        msg = (
            f"Timeouts.{attribute.name} is {value!r}: seconds must be above 0, or None for no bound"
        )
        raise InvalidRequestError(msg)


@final
@attrs.frozen(kw_only=True)
class Timeouts:
    """The deadlines of one request, in seconds; None is no bound.

    Each is longer-lived than the next: request ⊃ attempt ⊃ first token ⊃ stall.

    Raises:
        InvalidRequestError: A value is not a number above 0.
    """

    request_s: float | None = attrs.field(default=DEFAULT_REQUEST_S, validator=_check_seconds)
    """The whole request with its retries and the waits between them.

    It starts at the call for a single request, and at the first send in a batch.
    """
    attempt_s: float | None = attrs.field(default=None, validator=_check_seconds)
    """One HTTP exchange, from connecting to the body's last byte."""
    first_token_s: float | None = attrs.field(default=None, validator=_check_seconds)
    """From the start of an attempt to its first token; a batch streams underneath for it."""
    stall_s: float | None = attrs.field(default=None, validator=_check_seconds)
    """Between two tokens; keep-alive comments and pings do not count as progress."""

    @property
    def needs_stream(self) -> bool:
        """Whether tokens must be seen as they come to keep these timeouts."""
        return self.first_token_s is not None or self.stall_s is not None
