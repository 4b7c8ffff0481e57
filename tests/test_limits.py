"""`limits.py`: what a user may tell, and what not."""

from __future__ import annotations

import math

import pytest

from trillium.errors import InvalidRequestError
from trillium.limits import Counted, LeakyBucket, LimitReport, Limits, LimitTerms


def test_all_that_is_told_holds_together() -> None:
    limits = Limits(
        requests_per_second=10,
        requests_per_minute=500,
        requests_per_day=1e4,
        tokens_per_minute=3e4,
        input_tokens_per_minute=2e4,
        output_tokens_per_minute=1e4,
        burst_s=2,
        requests=LeakyBucket(5, 2, burst=3),
        tokens=[LeakyBucket(7)],
        input_tokens=[LeakyBucket(8)],
        output_tokens=[LeakyBucket(9)],
    )
    assert limits.terms() == [
        LimitTerms(Counted.REQUESTS, 10, 1, 20),
        LimitTerms(Counted.REQUESTS, 500, 60, 500 / 30),
        LimitTerms(Counted.REQUESTS, 1e4, 86_400, 1e4 / 43_200),
        LimitTerms(Counted.TOKENS, 3e4, 60, 1000),
        LimitTerms(Counted.INPUT_TOKENS, 2e4, 60, 2e4 / 30),
        LimitTerms(Counted.OUTPUT_TOKENS, 1e4, 60, 1e4 / 30),
        LimitTerms(Counted.REQUESTS, 5, 2, 3),
        LimitTerms(Counted.TOKENS, 7, 60),
        LimitTerms(Counted.INPUT_TOKENS, 8, 60),
        LimitTerms(Counted.OUTPUT_TOKENS, 9, 60),
    ]
    assert Limits().terms() == []
    assert Limits(requests_per_second=0.1).terms() == [LimitTerms(Counted.REQUESTS, 0.1, 1)]


def test_what_was_learnt_is_told_to_the_next_run() -> None:
    def report(counted: Counted, amount: float, *, model: str | None, endpoint: str = "a"):
        return LimitReport(
            endpoint=endpoint,
            model=model,
            counted=counted,
            amount=amount,
            window_s=60,
            told=False,
            at_once=7,
            available=1,
        )

    reports = [
        report(Counted.REQUESTS, 600, model=None),
        report(Counted.TOKENS, 5e4, model="m"),
        report(Counted.REQUESTS, 300, model="m"),
        report(Counted.REQUESTS, 1, model="m", endpoint="b"),
    ]
    of_model = Limits(tokens=LeakyBucket(5e4, 60, burst=7), requests=LeakyBucket(300, 60, burst=7))
    kept = Limits(requests=LeakyBucket(600, 60, burst=7), models={"m": of_model})
    assert Limits.of(reports) == kept
    assert Limits.of(reports, endpoint="b").models["m"].requests[0].max_rate == 1
    assert Limits.of([]) == Limits()


@pytest.mark.parametrize(
    "told",
    [
        {"requests_per_second": 0},
        {"requests_per_minute": -1},
        {"requests_per_day": math.inf},
        {"tokens_per_minute": math.nan},
        {"tokens_per_minute": True},
        {"tokens_per_minute": "many"},
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"burst_s": 0},
        {"requests": [5]},
        {"models": {"a": 5}},
        {"models": {"a": Limits(models={"b": Limits()})}},
        {"models": 5},
    ],
)
def test_what_is_no_limit_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(told))):
        Limits(**told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments", [(0,), (None,), (1, 0), (1, None), (1, math.inf), ("1",), (True,)]
)
def test_a_bucket_leaks_at_a_rate(arguments: tuple[object, ...]) -> None:
    with pytest.raises(InvalidRequestError, match=r"max_rate|time_period"):
        LeakyBucket(*arguments)  # type: ignore[arg-type]
