import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._policy.retry_policy import (
    DISPUTABLE_KINDS,
    RETRYABLE_KINDS,
    THROTTLED_KINDS,
    RetryPolicy,
    why_final,
)
from trillium.errors import ErrorKind, Fault, InvalidRequestError

seconds = st.floats(0, 1e6)
jitters = st.floats(0, 1, exclude_max=True)


@given(attempt=st.integers(1), jitter=jitters, base_s=seconds, max_delay_s=seconds)
@example(attempt=2**1000, jitter=math.nextafter(1, 0), base_s=1e300, max_delay_s=30.0)
def test_the_delay_stays_below_its_bounds_whatever_the_attempt(
    attempt: int, jitter: float, base_s: float, max_delay_s: float
) -> None:
    policy = RetryPolicy(base_s=base_s, max_delay_s=max_delay_s)
    delay_s = policy.delay_s(attempt, jitter=jitter, kind=ErrorKind.SERVER_ERROR)
    bound = min(max_delay_s, base_s * 2.0 ** min(attempt - 1, 1023))
    assert 0 <= delay_s <= bound


def test_delays_double_until_the_cap() -> None:
    """AWS Architecture Blog, "Exponential Backoff and Jitter": min(cap, base x 2^n)."""
    policy = RetryPolicy(base_s=0.5, max_delay_s=5.0)
    delays = [policy.delay_s(n, jitter=0.5, kind=ErrorKind.TRUNCATED) for n in range(1, 7)]
    assert delays == [0.25, 0.5, 1.0, 2.0, 2.5, 2.5]


@pytest.mark.parametrize("kind", sorted(THROTTLED_KINDS))
def test_a_provider_that_asks_for_fewer_requests_is_given_longer(kind: ErrorKind) -> None:
    assert RetryPolicy().delay_s(1, jitter=0.5, kind=kind) == 1.0


def test_a_draw_is_spread_over_what_a_deadline_leaves() -> None:
    policy = RetryPolicy(base_s=8.0)
    kind = ErrorKind.SERVER_ERROR
    assert policy.delay_s(1, jitter=0.5, kind=kind, room_s=2.0) == 1.0


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", None])
def test_attempts_that_are_no_count_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"RetryPolicy\.max_attempts is"):
        RetryPolicy(max_attempts=value)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
@pytest.mark.parametrize(
    "name", ["base_s", "throttled_base_s", "max_delay_s", "max_retry_after_s", "max_elapsed_s"]
)
def test_seconds_that_are_no_bound_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=rf"RetryPolicy\.{name} is"):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_a_kind_is_retried_exactly_if_it_is_in_the_list(kind: ErrorKind) -> None:
    assert (why_final(Fault(kind=kind, message="m")) is None) == (kind in RETRYABLE_KINDS)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_a_header_that_says_no_is_obeyed_for_every_kind(kind: ErrorKind) -> None:
    fault = Fault(kind=kind, message="m", should_retry=False)
    assert why_final(fault) == "the provider says that another try would not help"


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_a_header_that_says_yes_opens_only_what_a_status_alone_had_closed(kind: ErrorKind) -> None:
    fault = Fault(kind=kind, message="m", should_retry=True)
    assert (why_final(fault) is None) == (kind in RETRYABLE_KINDS | DISPUTABLE_KINDS)


@pytest.mark.parametrize(
    "kind",
    [
        ErrorKind.NO_CREDIT,
        ErrorKind.AUTHENTICATION,
        ErrorKind.MODEL_NOT_FOUND,
        ErrorKind.HOST_UNKNOWN,
        ErrorKind.CONTEXT_TOO_LONG,
        ErrorKind.CONTENT_FILTERED,
        ErrorKind.RESPONSE_TOO_LARGE,
    ],
)
def test_what_no_second_try_can_change_is_final_whatever_a_header_says(kind: ErrorKind) -> None:
    fault = Fault(kind=kind, message="m", should_retry=True)
    assert why_final(fault) == "the same request cannot succeed"


@pytest.mark.parametrize("kind", [ErrorKind.REQUEST_TIMEOUT, ErrorKind.BATCH_DEADLINE])
def test_a_deadline_that_has_passed_leaves_no_time(kind: ErrorKind) -> None:
    assert why_final(Fault(kind=kind, message="m")) == "no time is left"
