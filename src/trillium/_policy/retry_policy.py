"""What may be tried again, how often, and after what waits: the numbers, and the kinds.

The provider's `x-should-retry` goes before the rule for the status, as in the SDKs of OpenAI and
Anthropic; but not before the kinds that no second try can change.
"""

from __future__ import annotations

import math
from typing import Any, Final, final

import attrs

from trillium.errors import ErrorKind, Fault, InvalidRequestError

RETRYABLE_KINDS: Final = frozenset(
    {
        ErrorKind.RATE_LIMITED,  # 429, unless it means that there is no credit
        ErrorKind.OVERLOADED,  # 503, 529, an `overloaded_error` in mid-stream
        ErrorKind.SERVER_ERROR,  # 408, 409, 425, other 5xx, 520-524 of a CDN
        ErrorKind.CONNECTION_FAILED,  # refused, reset, TLS gone wrong
        ErrorKind.PROTOCOL_ERROR,  # a proxy's page, malformed JSON: seldom twice the same
        ErrorKind.TRUNCATED,
        ErrorKind.FIRST_TOKEN_TIMEOUT,
        ErrorKind.STALL_TIMEOUT,
        ErrorKind.ATTEMPT_TIMEOUT,
    }
)
"""The kinds of fault after which the same request may succeed.

Not RESPONSE_TOO_LARGE: the answer would be as large, and be paid for, again. Not HOST_UNKNOWN:
a name that does not exist is a wrong base URL.
"""

DISPUTABLE_KINDS: Final = frozenset(
    {
        ErrorKind.INVALID_REQUEST,
        ErrorKind.PERMISSION_DENIED,
        ErrorKind.UNEXPECTED_STATUS,
    }
)
"""The kinds that are not retried, unless the provider says `x-should-retry: true`.

They are read from a status alone, and gateways answer 400, 403 and 404 for reasons that pass.
The provider's own words for no credit, a bad key, a model that is not there, a context too long
or a filtered prompt stand, whatever a header says: a second try has the same answer.
"""

THROTTLED_KINDS: Final = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.OVERLOADED})
"""The kinds that ask for fewer requests, rather than for another try."""

DEFAULT_MAX_ATTEMPTS: Final = 6
"""Five waits: with the defaults, up to 15.5 s after a failure, 60 s after a rate limit."""

DEFAULT_BASE_S: Final = 0.5
"""As in the SDKs of OpenAI and Anthropic."""

DEFAULT_THROTTLED_BASE_S: Final = 2.0
"""Most limits are per minute: from 0.5 s on, six attempts would be used up in 8 s on average."""

DEFAULT_MAX_DELAY_S: Final = 30.0
"""Long enough for a server to start again, short enough to notice that it has."""

DEFAULT_MAX_RETRY_AFTER_S: Final = 3600.0
"""Longer wishes are those of a daily limit, or absurd; a night's batch can wait for an hour."""

_MAX_DOUBLINGS: Final = 1023
"""The largest power of two that a float holds."""


def _check_seconds(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        msg = f"RetryPolicy.{attribute.name} is {value!r}: seconds of at least 0 are needed"
        raise InvalidRequestError(msg)


def _check_attempts(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"RetryPolicy.{attribute.name} is {value!r}: a whole number of at least 1 is needed"
        raise InvalidRequestError(msg)


@final
@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after what waits, a request is tried again.

    Raises:
        InvalidRequestError: A number is out of its range.
    """

    max_attempts: int = attrs.field(default=DEFAULT_MAX_ATTEMPTS, validator=_check_attempts)
    """Attempts in all, the first one included: 1 is no retry. With more, those that were refused
    for a rate limit do not count: they cost time, and the deadline bounds that."""
    base_s: float = attrs.field(default=DEFAULT_BASE_S, validator=_check_seconds)
    """Upper bound of the first wait, in seconds; each further one is twice as long."""
    throttled_base_s: float = attrs.field(
        default=DEFAULT_THROTTLED_BASE_S, validator=_check_seconds
    )
    """The same where the provider was rate-limiting or overloaded, and did not say how long."""
    max_delay_s: float = attrs.field(default=DEFAULT_MAX_DELAY_S, validator=_check_seconds)
    """Cap of the waits that we choose, in seconds; what the provider asks for has another."""
    max_retry_after_s: float = attrs.field(
        default=DEFAULT_MAX_RETRY_AFTER_S, validator=_check_seconds
    )
    """The longest wait that is granted to a provider that asks for one; beyond it, we give up.

    Also on a request that has met nothing but rate limits for so long."""
    max_elapsed_s: float | None = attrs.field(default=None, validator=_check_seconds)
    """No attempt begins later than so many seconds after the first one; None is no bound."""

    def delay_s(
        self, attempt: int, *, jitter: float, kind: ErrorKind, room_s: float = math.inf
    ) -> float:
        """Return how long to wait after a failed attempt ("full jitter").

        Args:
            attempt: Number of the failed attempt, from 1.
            jitter: A draw from [0, 1), made by the caller.
            kind: What the attempt failed of.
            room_s: The seconds that a deadline leaves; the draw is spread over no more.

        Returns:
            Seconds, in [0, max_delay_s); never overflows, whatever the attempt.
        """
        base_s = self.throttled_base_s if kind in THROTTLED_KINDS else self.base_s
        most_s = base_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)
        return jitter * min(self.max_delay_s, most_s, room_s)


def why_final(fault: Fault) -> str | None:
    """Return why the same request cannot succeed after this fault; None if it may."""
    if fault.should_retry is False:
        return "the provider says that another try would not help"
    if fault.kind in RETRYABLE_KINDS or (fault.should_retry and fault.kind in DISPUTABLE_KINDS):
        return None
    if fault.kind in (ErrorKind.REQUEST_TIMEOUT, ErrorKind.BATCH_DEADLINE):
        return "no time is left"
    return "the same request cannot succeed"
