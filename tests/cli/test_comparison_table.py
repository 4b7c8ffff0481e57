"""A comparison as a table: sorted, marked, and no wider than there is room for."""

from __future__ import annotations

import datetime
import io
from decimal import Decimal

import attrs
import pytest
from rich.console import Console

from trillium._batch.statistics import Stop, StopCause
from trillium.cli.comparison_table import Order, in_order, remarks, table_of
from trillium.cli.terminal import plain
from trillium.comparison import Comparison, ComparisonSample, ModelComparison
from trillium.completions import Failure
from trillium.errors import ErrorKind, StatusError

LONG = "claude-sonnet-4.5-20250929"


def sample(
    n: int, latency_s: float, cost: str | None, kind: ErrorKind | None = None
) -> ComparisonSample:
    failed = None
    if kind is not None:
        error = StatusError("the words of the server\x1b[2J", kind=kind)
        failed = Failure(id=None, index=n, model="m", endpoint="e", error=error)
    return ComparisonSample(
        prompt=n,
        repeat=0,
        kind=kind,
        latency_s=latency_s,
        first_token_s=latency_s / 4,
        output_tokens_per_s=100 / latency_s,
        input_tokens=1200,
        output_tokens=34_567,
        cost_usd=None if cost is None else Decimal(cost),
        possibly_billed_usd=Decimal(0) if kind is None else Decimal("0.5"),
        attempts=1,
        outcome=failed,
    )


def model(name: str, latency_s: float, cost: str | None, *, failing: int = 0) -> ModelComparison:
    endpoint, _, wire = name.partition("/")
    good = [sample(n, latency_s + n / 10, cost) for n in range(4 - failing)]
    bad = [sample(n, 1.0, None, ErrorKind.SERVER_ERROR) for n in range(4 - failing, 4)]
    return ModelComparison.of(endpoint, wire, good + bad)


def compared(*models: ModelComparison, stop: Stop | None = None) -> Comparison:
    return Comparison(
        started_at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        elapsed_s=1.0,
        prompts=4,
        repeat=1,
        concurrency=4,
        seed=0,
        models=models,
        stop=stop,
    )


FOUND = compared(
    model(f"anthropic/{LONG}", 2.0, "0.02"),
    model("openai/gpt-4.1", 0.5, "0.01"),
    model("deepseek/deepseek-chat", 1.0, "0.0001", failing=1),
    model("vllm/own", 3.0, None),
)


def drawn(found: Comparison, *, width: int, order: Order = "cost") -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False)
    console.print(table_of(found, order=order, console=console))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 250])
def test_a_table_is_no_wider_than_its_terminal_and_cuts_nothing(width: int) -> None:
    text = drawn(FOUND, width=width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "…" not in text
    for needed in ("p50", "median", "1,000", "$10.00", "$20.00", "$0.1"):
        assert needed in text


def test_the_wider_it_is_the_more_it_tells() -> None:
    told = [len(drawn(FOUND, width=width)) for width in (60, 80, 120, 200)]
    assert told == sorted(set(told))
    wide = drawn(FOUND, width=200)
    for needed in (f"anthropic/{LONG}", "3/4", "middle half", "138k", "99.5 %", "p99", "saves"):
        assert needed in wide


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("cost", ["deepseek-chat", "gpt-4.1", LONG, "own"]),
        ("latency", ["gpt-4.1", "deepseek-chat", LONG, "own"]),
        ("first-token", ["gpt-4.1", "deepseek-chat", LONG, "own"]),
        ("speed", ["gpt-4.1", "deepseek-chat", LONG, "own"]),
        ("given", [LONG, "gpt-4.1", "deepseek-chat", "own"]),
    ],
)
def test_models_are_sorted_and_what_is_not_known_comes_last(order, names) -> None:
    assert [m.model for m in in_order(FOUND.models, order)] == names
    text = drawn(FOUND, width=200, order=order)
    assert sorted(names, key=text.index) == names


def test_without_any_price_the_quickest_comes_first() -> None:
    found = [model("a/slow", 2.0, None), model("a/quick", 1.0, None)]
    assert [m.model for m in in_order(found, "cost")] == ["quick", "slow"]


def test_the_best_and_the_dearest_stand_out() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system="standard")
    console.print(table_of(FOUND, order="cost", console=console))
    text = out.getvalue()
    assert "\x1b[1;32m   $0.1\x1b[0m" in text
    assert "\x1b[31m $20.00\x1b[0m" in text
    assert "\x1b[31m     3/4\x1b[0m" in text


def test_of_equal_models_none_stands_out() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system="standard")
    pair = compared(model("a/x", 1.0, "0.1"), model("a/y", 1.0, "0.1"))
    console.print(table_of(pair, order="cost", console=console))
    assert "\x1b[1;32m" not in out.getvalue()
    assert list(remarks(pair)) == []


def test_what_the_colours_say_is_said_in_words() -> None:
    stop = Stop(StopCause.BUDGET, "the budget of $1 is used up")
    said = [plain(line) for line in remarks(compared(*FOUND.models, stop=stop))]
    assert said == [
        f"cheapest: deepseek-chat, $0.1 for 1,000 answers; 99.5 % less than {LONG}",
        "fastest: gpt-4.1, 0.60 s at the median; own takes 3.10 s",
        "first to begin: gpt-4.1, 0.15 s at the median; own takes 0.78 s",
        "deepseek-chat: 1 of 4 failed: 1 server_error, such as: the words of the server\x1b[2J",
        "deepseek-chat: besides, at most $0.5 for attempts that brought no answer",
        "own: the cost is unknown, since no price is: give one with --prices",
        "stopped early: the budget of $1 is used up",
    ]


def test_that_somebody_stopped_it_is_no_news_to_them() -> None:
    stop = Stop(StopCause.DRAINED, "the batch was drained")
    assert list(remarks(compared(model("a/m", 1.0, "1"), stop=stop))) == []


def test_names_that_two_models_have_are_told_with_their_endpoints() -> None:
    said = [plain(line) for line in remarks(compared(model("a/m", 1, "2"), model("b/m", 2, "1")))]
    assert said[0] == "cheapest: b/m, $1,000.00 for 1,000 answers; 50 % less than a/m"


def test_an_answer_without_usage_is_why_its_cost_is_unknown() -> None:
    bare = ComparisonSample(prompt=0, repeat=0, latency_s=1.0, attempts=1)
    said = [plain(line) for line in remarks(compared(ModelComparison.of("e", "m", [bare])))]
    assert said == [
        "m: the cost is unknown, since 1 answer came without a number of tokens",
    ]


def test_attempts_that_may_have_been_billed_by_nobody_knows_how_much_are_told() -> None:
    cut = attrs.evolve(sample(0, 1.0, "1"), attempts=2, possibly_billed_usd=None)
    said = [plain(line) for line in remarks(compared(ModelComparison.of("e", "m", [cut])))]
    cost, retries = said
    assert cost == (
        "m: what attempts that brought no answer cost besides is not known: give --max-tokens"
    )
    assert retries.startswith("retries: 1 answer took more than one attempt: latency counts all")


def test_a_model_without_any_answer_has_a_row_all_the_same() -> None:
    text = drawn(compared(model("a/down", 1.0, "1", failing=4)), width=120)
    assert "a/down" in text
    assert "0/4" in text
