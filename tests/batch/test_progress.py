"""The counting observer: what it counts, and what it makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._batch.progress import RATE_WINDOW_S, Progress
from trillium.completions import Completion, Failure, FinishReason, Usage
from trillium.errors import ErrorKind, Fault, NotSentError, StatusError

FAULT = Fault(kind=ErrorKind.OVERLOADED, message="too much to do")


def completion(index: int = 0, *, attempts: int = 1, usage: Usage | None = None) -> Completion:
    return Completion(
        id=index,
        index=index,
        model="m",
        endpoint="e",
        text="",
        finish_reason=FinishReason.STOP,
        latency_s=0.5,
        attempts=attempts,
        usage=usage,
    )


def failure(index: int = 0, *, message: str = "no", attempts: int = 1) -> Failure:
    error = StatusError(message, kind=ErrorKind.SERVER_ERROR)
    return Failure(
        id=index, index=index, model="m", endpoint="e", error=error, attempts=attempts, abandoned=1
    )


def unsent(index: int) -> Failure:
    error = NotSentError("the batch had stopped")
    return Failure(id=index, index=index, model="m", endpoint="e", error=error)


def send(progress: Progress, index: int, *, attempt: int = 1) -> None:
    if attempt == 1:
        progress.admitted(index=index, model="m", endpoint="e")
    progress.attempt_started(index=index, attempt=attempt)


def back_off(progress: Progress, index: int, *, attempt: int = 1) -> None:
    progress.attempt_ended(index=index, attempt=attempt, fault=FAULT)
    progress.retry(index=index, attempt=attempt, fault=FAULT, delay_s=1.0)


def finish(progress: Progress, outcome: Completion | Failure) -> None:
    progress.attempt_ended(index=outcome.index, attempt=outcome.attempts, fault=None)
    progress.outcome(outcome)


def test_a_request_is_waiting_then_in_flight_then_done() -> None:
    progress = Progress(total=2, started_at=0.0)
    assert progress.look(0.0).waiting == 2
    send(progress, 0)
    look = progress.look(1.0)
    assert (look.waiting, look.in_flight, look.completed) == (1, 1, 0)
    progress.chunk(index=0, characters=5)
    finish(progress, completion())
    look = progress.look(2.0)
    assert (look.waiting, look.in_flight, look.completed, look.failed) == (1, 0, 1, 0)


def test_a_request_is_retrying_until_it_is_sent_again() -> None:
    progress = Progress(total=3, started_at=0.0)
    send(progress, 1)
    back_off(progress, 1)
    look = progress.look(1.0)
    assert (look.retrying, look.in_flight, look.waiting) == (1, 0, 2)
    send(progress, 1, attempt=2)
    look = progress.look(1.0)
    assert (look.retrying, look.in_flight, look.waiting) == (0, 1, 2)
    finish(progress, completion(1, attempts=2))
    assert (progress.attempts, progress.retries) == (2, 1)


def test_a_request_that_fails_while_it_waits_is_not_retrying_any_more() -> None:
    progress = Progress(total=1, started_at=0.0)
    send(progress, 0)
    back_off(progress, 0)
    progress.outcome(failure())
    look = progress.look(1.0)
    assert (look.retrying, look.failed, look.waiting) == (0, 1, 0)


def test_failures_are_counted_by_kind_with_the_first_message_of_each() -> None:
    progress = Progress(started_at=0.0)
    for outcome in (failure(0, message="one"), failure(1, message="two"), unsent(2)):
        progress.outcome(outcome)
    assert progress.failures == {ErrorKind.SERVER_ERROR: 2, ErrorKind.NOT_SENT: 1}
    assert progress.examples == {
        ErrorKind.SERVER_ERROR: "one",
        ErrorKind.NOT_SENT: "the batch had stopped",
    }


def test_what_was_never_sent_counts_no_attempt() -> None:
    progress = Progress(started_at=0.0)
    progress.outcome(unsent(0))
    progress.outcome(failure(1, attempts=3))
    assert (progress.sent, progress.attempts, progress.retries, progress.abandoned) == (1, 3, 2, 1)


def test_tokens_and_latencies_are_summed_where_they_are_told() -> None:
    progress = Progress(started_at=0.0)
    progress.outcome(completion(usage=Usage(input_tokens=3, output_tokens=4)))
    progress.outcome(completion())
    assert (progress.input_tokens, progress.output_tokens, progress.latency_s) == (3, 4, 1.0)


def test_without_a_total_nobody_knows_what_is_left() -> None:
    progress = Progress(started_at=0.0)
    progress.outcome(completion())
    look = progress.look(1.0)
    assert (look.total, look.waiting, look.left_s) == (None, None, None)
    assert look.requests_per_s == 1.0


def test_rates_and_what_is_left_follow_from_what_was_done() -> None:
    progress = Progress(total=8, started_at=100.0)
    for index in range(4):
        progress.outcome(completion(index, usage=Usage(input_tokens=5, output_tokens=5)))
    look = progress.look(102.0)
    assert look.requests_per_s == pytest.approx(2.0)
    assert look.tokens_per_s == pytest.approx(20.0)
    assert look.elapsed_s == pytest.approx(2.0)
    assert look.left_s == pytest.approx(2.0)


def test_before_anything_is_done_the_time_left_is_unknown_and_at_the_end_it_is_none() -> None:
    progress = Progress(total=1, started_at=0.0)
    assert progress.look(0.0).left_s is None
    assert progress.look(3.0).left_s is None
    progress.outcome(completion())
    assert progress.look(4.0).left_s == 0.0


def test_rates_forget_what_is_older_than_the_window() -> None:
    progress = Progress(total=100, started_at=0.0)
    for index in range(50):
        progress.outcome(completion(index))
    progress.look(1.0)
    progress.look(RATE_WINDOW_S / 2)
    assert progress.look(RATE_WINDOW_S + 1.0).requests_per_s == 0.0
    progress.outcome(completion(50))
    later = progress.look(2 * RATE_WINDOW_S)
    assert 0 < later.requests_per_s <= 1 / RATE_WINDOW_S


@given(gaps=st.lists(st.floats(0, 30), max_size=50), done=st.lists(st.integers(0, 5), max_size=50))
def test_looks_keep_little_and_rates_are_never_negative(gaps: list[float], done: list[int]) -> None:
    progress = Progress(total=250, started_at=0.0)
    now = 0.0
    for gap, count in zip(gaps, done, strict=False):
        for _ in range(count):
            progress.outcome(completion())
        now += gap
        look = progress.look(now)
        assert look.requests_per_s >= 0
        assert look.left_s is None or look.left_s >= 0
        recent = [at for at, _, _ in progress._samples if at > now - RATE_WINDOW_S]
        assert len(progress._samples) <= len(recent) + 1


def test_a_wait_that_is_asked_for_is_counted_down_and_never_shortened_by_another() -> None:
    progress = Progress(started_at=0.0)
    assert progress.look(1.0).held_s == 0.0
    progress.held_back(endpoint="e", model="m", delay_s=10.0)
    progress.held_back(endpoint="e", model="n", delay_s=2.0)
    assert progress.look(2.0).held_s == 10.0
    progress.held_back(endpoint="e", model="n", delay_s=1.0)
    assert progress.look(7.0).held_s == 5.0
    assert progress.look(20.0).held_s == 0.0
