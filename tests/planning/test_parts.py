"""A part of a job stands for the whole, and a provider permits what is told of it."""

from __future__ import annotations

import pytest

import trillium
from trillium import (
    Binding,
    ChargeRule,
    Counted,
    LeakyBucket,
    LimitReport,
    Limits,
    RetryPolicy,
    Timeouts,
)
from trillium._planning.intervals import dice_of, even_draws
from trillium._planning.measure import Reservoir
from trillium._planning.provider import Part, in_part, quota_of, style_of, with_learnt
from trillium._planning.rehearsal import StopSign, Terms, binding_of, rehearse
from trillium._planning.scenarios import rehearse_all
from trillium.simulator.settings import HeaderStyle


def terms(limits: Limits, *, concurrency: int = 20) -> Terms:
    return Terms(
        endpoint="shop",
        model="m",
        charge_rule=ChargeRule.SUM,
        tariff=None,
        limits=limits,
        retry_policy=RetryPolicy(),
        timeouts=Timeouts(),
        endpoint_concurrency=None,
        concurrency=concurrency,
        adaptive=False,
        expected_concurrency=concurrency,
    )


def parts(count: int, *, failures: int = 0) -> list[Part]:
    return [
        Part(
            text_bytes=100 + place % 50,
            max_tokens=100,
            input_tokens=30,
            output_tokens=50,
            latency_s=1 + place % 7 / 10,
            failures=failures,
        )
        for place in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "binding"),
    [
        (Limits(requests_per_minute=120), Binding.REQUESTS),
        (Limits(requests_per_minute=600, burst_s=5), Binding.REQUESTS),
        (Limits(tokens_per_minute=20_000), Binding.TOKENS),
        (Limits(tokens_per_minute=20_000, burst_s=6), Binding.TOKENS),
        (Limits(), Binding.CONCURRENCY),
    ],
    ids=["requests", "requests, told burst", "tokens", "tokens, told burst", "places"],
)
def test_the_time_of_a_part_scales_to_that_of_the_whole(limits: Limits, binding: Binding) -> None:
    whole, told = parts(1200), terms(limits)
    found = rehearse_all(told, whole, StopSign(), count=1200)
    of_part = rehearse_all(told, whole[::4], StopSign(), count=1200)
    assert of_part.makespan_s == pytest.approx(found.makespan_s, rel=0.05)
    assert binding_of(of_part.waits_s) is binding_of(found.waits_s) is binding
    assert of_part.completed == found.completed == 1200
    assert of_part.attempts == found.attempts == 1200


def test_a_rehearsal_that_is_not_wanted_any_more_ends() -> None:
    found = rehearse(terms(Limits()), parts(500), StopSign(is_set=True), share=1.0)
    assert found.completed < 100


def test_attempts_that_fail_are_made_again() -> None:
    found = rehearse(terms(Limits()), parts(10, failures=2), StopSign(), share=1.0)
    assert (found.completed, found.attempts) == (10, 30)


def test_limits_of_an_endpoint_and_of_a_model_hold_together() -> None:
    limits = Limits(
        requests_per_minute=100,
        tokens_per_minute=5000,
        models={"m": Limits(requests_per_minute=60, burst_s=10)},
    )
    states = quota_of(limits, "m", share=1.0, largest=10).states(0.0)
    assert [(s.limit.value, s.allowed, s.remaining) for s in states] == [
        ("requests per min (RPM)", 60, 10),
        ("tokens per min (TPM)", 5000, 5000),
    ]


def test_what_no_provider_could_tell_is_left_to_the_client() -> None:
    limits = Limits(requests_per_second=2.5, requests=(LeakyBucket(5, 7),))
    assert quota_of(limits, "m", share=1.0, largest=10).states(0.0) == []


def report(counted: Counted, amount: float, window_s: float, **fields: object) -> LimitReport:
    told = {"endpoint": "shop", "model": "m", "told": False, "at_once": 1.0, "available": 0.0}
    return LimitReport(
        counted=counted,
        amount=amount,
        window_s=window_s,
        **{**told, **fields},  # type: ignore[arg-type]
    )


def test_what_was_learnt_holds_where_nothing_was_told() -> None:
    told = Limits(requests_per_minute=60)
    reports = [
        report(Counted.REQUESTS, 60, 60, told=True),
        report(Counted.REQUESTS, 50, 60),
        report(Counted.TOKENS, 9000, 60, model=None),
        report(Counted.INPUT_TOKENS, 7000, 60, model="another"),
        report(Counted.REQUESTS, 1.5, 1),
        report(Counted.REQUESTS, 900, 86_400),
    ]
    assert with_learnt(told, reports, "m") == Limits(
        requests_per_minute=60,
        tokens_per_minute=9000,
        requests=(LeakyBucket(1.5, 1), LeakyBucket(900, 86_400)),
    )


async def test_a_client_plans_with_what_it_has_learnt() -> None:
    learnt = [report(Counted.REQUESTS, 60, 60, endpoint="openai", model="gpt-4.1")]
    requests = ["why?"] * 100
    async with trillium.open_client("openai/gpt-4.1", key="none", learnt=learnt) as client:
        plan = await client.plan(requests, concurrency=50)
        other = await client.plan(requests, concurrency=50, limits=Limits())
    assert plan.binding is Binding.REQUESTS
    assert plan.makespan_s > 40
    assert other.binding is Binding.CONCURRENCY


def test_the_bucket_of_a_part_is_as_small_but_holds_a_request() -> None:
    limits = Limits(requests_per_minute=600, tokens_per_minute=60_000)
    (requests, tokens) = quota_of(limits, "m", share=0.01, largest=900).states(0.0)
    assert (requests.remaining, tokens.remaining) == (6, 900)


def test_the_burst_of_a_part_is_as_small_but_lets_a_request_pass() -> None:
    limits = Limits(tokens_per_minute=60_000, burst_s=30)
    assert in_part(limits, share=1.0, largest=900) is limits
    assert in_part(limits, share=0.5, largest=900).burst_s == 15
    assert in_part(limits, share=0.01, largest=900).burst_s == pytest.approx(0.9, rel=0.01)
    assert in_part(limits, share=0.01, largest=90_000).burst_s == 30
    assert in_part(Limits(), share=0.01, largest=900) == Limits()


@pytest.mark.parametrize(
    ("limits", "style"),
    [
        (Limits(tokens_per_minute=10), HeaderStyle.OPENAI),
        (Limits(output_tokens_per_minute=10), HeaderStyle.ANTHROPIC),
        (Limits(models={"m": Limits(input_tokens_per_minute=10)}), HeaderStyle.ANTHROPIC),
    ],
    ids=["both", "output", "input of a model"],
)
def test_headers_are_those_that_can_tell_of_the_limits(limits: Limits, style: HeaderStyle) -> None:
    assert style_of(limits, "m") is style


def test_what_is_waited_for_a_moment_binds_nothing() -> None:
    assert binding_of({Binding.REQUESTS: 1.0, Binding.LATENCY: 99.0}) is Binding.LATENCY
    assert binding_of({Binding.REQUESTS: 11.0, Binding.LATENCY: 89.0}) is Binding.REQUESTS
    assert binding_of({}) is Binding.LATENCY


def test_a_reservoir_keeps_all_in_order_as_long_as_it_has_room() -> None:
    reservoir = Reservoir[int](5, dice_of("test"))
    for number in range(5):
        reservoir.add(number)
    assert reservoir.items == [0, 1, 2, 3, 4]
    for number in range(5, 1000):
        reservoir.add(number)
    assert len(reservoir.items) == 5
    assert reservoir.items == sorted(reservoir.items)
    assert reservoir.items[-1] > 100


def test_a_reservoir_gives_each_the_same_chance() -> None:
    kept = [0] * 20
    for seed in range(400):
        reservoir = Reservoir[int](5, dice_of(f"test {seed}"))
        for number in range(20):
            reservoir.add(number)
        for number in reservoir.items:
            kept[number] += 1
    assert min(kept) > 60  # of 100 each, give or take 9
    assert max(kept) < 140


def test_even_draws_have_the_mean_that_they_should() -> None:
    draws = even_draws(50, dice_of("test"))
    assert sum(draws) / 50 == pytest.approx(0.5)
    assert draws != sorted(draws)


async def test_images_count_as_many_tokens_in_a_rehearsal() -> None:
    picture = trillium.ImagePart(url="https://shop.example/a.png")
    request = trillium.Request(trillium.user(["what is it?", picture]), max_tokens=10)
    async with trillium.open_client("openai/gpt-4.1", key="none") as client:
        plan = await client.plan([request])
    assert plan.input_tokens == round(11 / 4 + 1600)
    assert plan.completed == 1
