"""Tokens per second: those that came after the first, by the time that they took."""

from __future__ import annotations

from typing import Any

import pytest

from trillium._comparing.measuring import tokens_per_s
from trillium.completions import Completion, FinishReason, Usage


def completion(usage: Usage | None, **more: Any) -> Completion:
    return Completion(
        id=None,
        index=0,
        model="m",
        endpoint="e",
        text="text",
        finish_reason=FinishReason.STOP,
        usage=usage,
        latency_s=9.0,
        **{"first_token_s": 1.0, **more},
    )


def test_the_first_token_is_when_the_others_begin_to_count() -> None:
    found = completion(Usage(output_tokens=21))
    assert tokens_per_s(found, took_s=3.0) == pytest.approx(10.0)


def test_reasoning_that_is_not_shown_came_before() -> None:
    usage = Usage(output_tokens=1021, reasoning_tokens=1000)
    assert tokens_per_s(completion(usage), took_s=3.0) == pytest.approx(10.0)


def test_reasoning_that_is_shown_counts() -> None:
    usage = Usage(output_tokens=1021, reasoning_tokens=1000)
    shown = completion(usage, reasoning="Well")
    assert tokens_per_s(shown, took_s=3.0) == pytest.approx(510.0)


@pytest.mark.parametrize(
    ("usage", "first_token_s", "took_s"),
    [
        (None, 1.0, 3.0),
        (Usage(output_tokens=21), None, 3.0),
        (Usage(output_tokens=1), 1.0, 3.0),
        (Usage(output_tokens=20, reasoning_tokens=20), 1.0, 3.0),
        (Usage(output_tokens=21), 3.0, 3.0),
    ],
)
def test_where_it_says_nothing_there_is_no_speed(usage, first_token_s, took_s) -> None:
    found = completion(usage, first_token_s=first_token_s)
    assert tokens_per_s(found, took_s=took_s) is None
