"""The records of a comparison: what follows from samples, and the plain form."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trillium._batch.statistics import Stop, StopCause
from trillium.comparison import Comparison, ComparisonSample, ModelComparison
from trillium.errors import ErrorKind, InvalidInputError

seconds = st.floats(0, 1e4)
amounts = st.decimals(0, 100, allow_nan=False, places=9)


@st.composite
def samples(draw) -> list[ComparisonSample]:
    def one(prompt: int) -> ComparisonSample:
        kind = draw(st.none() | st.sampled_from(ErrorKind))
        sample = ComparisonSample(
            prompt=prompt,
            repeat=draw(st.integers(0, 2)),
            id=draw(st.none() | st.integers() | st.text("aß€", max_size=3)),
            kind=kind,
            started_s=draw(st.none() | seconds),
            latency_s=draw(st.none() | seconds),
            possibly_billed_usd=draw(st.none() | amounts),
            attempts=draw(st.integers(0, 3)),
        )
        if kind is not None:
            return sample
        return attrs.evolve(
            sample,
            first_token_s=draw(st.none() | seconds),
            output_tokens_per_s=draw(st.none() | seconds),
            input_tokens=draw(st.none() | st.integers(0, 1000)),
            output_tokens=draw(st.none() | st.integers(0, 1000)),
            cost_usd=draw(st.none() | amounts),
        )

    return [one(prompt) for prompt in range(draw(st.integers(0, 5)))]


@st.composite
def comparisons(draw) -> Comparison:
    return Comparison(
        started_at=draw(st.datetimes(timezones=st.just(datetime.UTC))),
        elapsed_s=draw(seconds),
        prompts=draw(st.integers(1, 9)),
        repeat=draw(st.integers(1, 9)),
        concurrency=draw(st.integers(1, 9)),
        seed=draw(st.integers(-(2**63), 2**63)),
        models=[
            ModelComparison.of("e", f"m{n}", found, connect_s=draw(st.none() | seconds))
            for n, found in enumerate(draw(st.lists(samples(), max_size=3)))
        ],
        stop=draw(st.none() | st.builds(Stop, st.sampled_from(StopCause), st.just("why"))),
    )


@settings(max_examples=20)  # each has a dozen samples
@given(comparison=comparisons())
def test_what_is_read_back_equals_what_was_written(comparison) -> None:
    assert Comparison.from_json(json.loads(json.dumps(comparison.to_json()))) == comparison


def model(*costs: str | None, name: str = "m") -> ModelComparison:
    found = [
        ComparisonSample(
            prompt=n, repeat=0, cost_usd=None if cost is None else Decimal(cost), attempts=1
        )
        for n, cost in enumerate(costs)
    ]
    return ModelComparison.of("e", name, found)


def compared(*models: ModelComparison) -> tuple[ModelComparison, ...]:
    return Comparison(
        started_at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        elapsed_s=1.0,
        prompts=2,
        repeat=1,
        concurrency=1,
        seed=0,
        models=models,
    ).models


def test_savings_are_those_against_the_dearest_thousand() -> None:
    # Half as many answers at the same price in all: each of them is twice as dear.
    dear, cheap, mixed = compared(model("0.4"), model("0.2", "0.2"), model("0.1", None))
    assert (dear.cost_per_1000_requests_usd, dear.savings) == (Decimal(400), 0.0)
    assert (cheap.cost_per_1000_requests_usd, cheap.savings) == (Decimal(200), 0.5)
    # One answer of unknown cost: what all of them cost is unknown, and no zero.
    assert (mixed.cost_usd, mixed.cost_per_1000_requests_usd, mixed.savings) == (None,) * 3


def test_where_all_is_free_nothing_is_saved() -> None:
    assert [m.savings for m in compared(model("0"), model("0"))] == [0.0, 0.0]


def test_without_answers_there_are_no_figures() -> None:
    failed = ComparisonSample(prompt=0, repeat=0, kind=ErrorKind.NOT_SENT)
    found = ModelComparison.of("e", "m", [failed])
    assert (found.attempted, found.success_rate, found.output_tokens_per_answer) == (0, None, None)
    assert (found.cost_usd, found.cost_per_1000_requests_usd) == (Decimal(0), None)
    assert found.name == "e/m"


def test_a_thousandth_that_has_no_end_is_rounded_at_28_digits() -> None:
    found = model("0.000001", "0.000001", "0.000002")
    assert found.cost_per_1000_requests_usd == Decimal("0.001333333333333333333333333333")


def test_answers_without_usage_are_counted_apart() -> None:
    answers = [
        ComparisonSample(prompt=n, repeat=0, attempts=1, input_tokens=told, output_tokens=told)
        for n, told in enumerate([10, 20, None])
    ]
    found = ModelComparison.of("e", "m", answers)
    assert (found.output_tokens, found.without_usage) == (30, 1)
    assert found.output_tokens_per_answer == 15.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, "'other'"),
        ({"version": 2}, "version 2"),
        ({"models": [{"endpoint": "e"}]}, "models"),
        ({"started_at": "yesterday"}, "started_at"),
    ],
)
def test_what_is_no_comparison_is_refused(changes, words) -> None:
    plain = {
        "format": "trillium-comparison",
        "version": 1,
        "started_at": "2026-01-01T00:00:00Z",
        "elapsed_s": 1.0,
        "prompts": 1,
        "repeat": 1,
        "concurrency": 1,
        "seed": 0,
        "models": [],
    }
    assert Comparison.from_json(plain).models == ()
    with pytest.raises(InvalidInputError, match=words) as refused:
        Comparison.from_json({**plain, **changes}, file="found.json")
    assert refused.value.file == "found.json"
