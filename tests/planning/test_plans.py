"""What a plan says, what it does not do, and what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import attrs
import pytest
import trio

import trillium
from tests.planning.shop import in_shop, open_shop
from trillium import Assumptions, Binding, usd
from trillium.prices import Prices
from trillium.simulator import SimulatedProvider, SimulatorSettings

QUICK = Assumptions(output_tokens=10, first_token_s=0.5, tokens_per_second=10)


def prompts(count: int = 8, **fields: object) -> list[trillium.Request]:
    return [trillium.Request(f"{i} ".ljust(40, "w"), **fields) for i in range(count)]  # type: ignore[arg-type]


async def plan_of(requests: object, **arguments: object) -> trillium.Plan:
    async with open_shop() as (client, provider):
        plan = await client.plan(requests, **arguments)  # type: ignore[arg-type]
        assert not provider.ledger.received
        return plan


# What it says.


async def test_tokens_follow_from_bytes_and_cost_from_the_price_list() -> None:
    plan = await plan_of(prompts(max_tokens=50), assume=QUICK)
    assert (plan.endpoint, plan.model, plan.requests) == ("shop", "m", 8)
    assert (plan.input_tokens, plan.output_tokens) == (80, 80)
    assert plan.cost_usd == Decimal("0.0008")  # 80 at 2 and 80 at 8 dollars a million
    assert plan.worst_output_tokens == 400
    assert plan.worst_input_tokens is not None
    assert plan.worst_cost_usd == Decimal(plan.worst_input_tokens * 2 + 400 * 8) / 1_000_000
    assert (plan.completed, plan.attempts, plan.rehearsed, plan.stopped) == (8, 8, 8, None)
    assert plan.sample is None
    assert plan.confidence is None


async def test_time_follows_from_the_latency_that_is_assumed() -> None:
    plan = await plan_of(prompts(), assume=QUICK)
    assert plan.makespan_s == pytest.approx(0.5 + 9 / 10)
    assert plan.binding is Binding.LATENCY
    assert plan.waits == {Binding.LATENCY: 1.0}
    two_rounds = await plan_of(prompts(), assume=QUICK, concurrency=4)
    assert two_rounds.makespan_s == pytest.approx(2 * plan.makespan_s)
    assert two_rounds.binding is Binding.CONCURRENCY


async def test_the_bound_of_the_client_holds_where_the_batch_has_none() -> None:
    async with open_shop(concurrency=80) as (client, _):
        plan = await client.plan(prompts(160), assume=QUICK)
        fewer = await client.plan(prompts(160), assume=QUICK, concurrency=40)
    assert plan.makespan_s == pytest.approx(2 * 1.4)
    assert fewer.makespan_s == pytest.approx(4 * 1.4)


async def test_an_answer_is_half_of_max_tokens_unless_told() -> None:
    plan = await plan_of([*prompts(2, max_tokens=30), *prompts(2)])
    assert plan.output_tokens == 2 * 15 + 2 * 512
    assert plan.output_rule == "50% of max_tokens; 512 tokens where there is no max_tokens"
    assert plan.assumptions.first_token_s == 0.8
    assert plan.worst_output_tokens is None
    assert plan.worst_cost_usd is None
    assert "nothing bounds the length" in plan.notes[0]


async def test_no_answer_is_expected_to_be_longer_than_max_tokens() -> None:
    assume = Assumptions(output_tokens=100)
    plan = await plan_of([*prompts(1, max_tokens=30), *prompts(1)], assume=assume)
    assert plan.output_tokens == 130


async def test_fractions_of_tokens_are_not_lost() -> None:
    plan = await plan_of(prompts(100), assume=Assumptions(output_tokens=1.3, bytes_per_token=3))
    assert plan.output_tokens == 130
    assert plan.input_tokens == round(4000 / 3)


async def test_a_cost_without_a_price_is_unknown_and_not_nothing() -> None:
    async with open_shop(prices=Prices()) as (client, _):
        plan = await client.plan(prompts(max_tokens=50))
    assert plan.cost_usd is plan.worst_cost_usd is None
    assert plan.worst_output_tokens == 400
    assert plan.notes == ("no price is known for shop/m: write one into a price list",)
    assert "cost unknown" in str(plan)


async def test_errors_cost_attempts_and_time() -> None:
    requests = prompts(100)
    plan = await plan_of(requests, assume=QUICK)
    # So many that waiting for the last retries takes longer than the slow start does.
    assume = attrs.evolve(QUICK, error_rate=0.3)
    troubled = await plan_of(requests, assume=assume)
    assert troubled.attempts == pytest.approx(143, abs=2)
    assert troubled.completed == 100
    assert troubled.makespan_s > plan.makespan_s
    assert troubled.cost_usd == plan.cost_usd


async def test_times_to_the_first_token_differ_as_assumed() -> None:
    assume = attrs.evolve(QUICK, latency_spread=0.5)
    plan = await plan_of(prompts(30), assume=assume)
    assert plan.makespan_s > 1.5


async def test_a_plan_is_shown_in_a_line() -> None:
    plan = await plan_of(prompts(max_tokens=50), assume=QUICK)
    assert repr(plan) == (
        "<trillium.Plan shop/m: 8 requests, 80 tokens in, 80 out, $0.0008 (at most $0.00702), "
        "1.4 s, bound by latency>"
    )


async def test_of_no_requests_there_is_a_plan_of_nothing() -> None:
    plan = await plan_of([])
    assert plan.requests == plan.makespan_s == plan.attempts == 0
    assert plan.cost_usd == 0


async def test_what_is_never_answered_is_said() -> None:
    plan = await plan_of(prompts(3, max_tokens=50), limits=trillium.Limits(tokens_per_minute=20))
    assert plan.completed == 0
    assert plan.notes[0].startswith("3 would not be answered, such as: ")


async def test_requests_that_name_their_model_have_its_price() -> None:
    requests = [*prompts(1), *prompts(1, model="other")]
    plan = await plan_of(requests, assume=QUICK)
    assert plan.cost_usd is None
    assert any("no price is known for shop/other" in note for note in plan.notes)


# Budgets.


async def test_a_budget_that_does_not_last_is_told() -> None:
    requests = prompts(100, max_tokens=100)
    plan = await plan_of(requests, assume=QUICK, budget=usd("0.005"))
    assert plan.stopped is trillium.StopCause.BUDGET
    # Each costs a hundredth of a cent; what is left at the end is less than a worst case.
    assert 37 <= plan.completed <= 50
    lasting = await plan_of(requests, assume=QUICK, budget=plan.worst_cost_usd)
    assert (lasting.completed, lasting.stopped) == (100, None)


async def test_the_budget_of_the_client_counts_too() -> None:
    async with open_shop(budget=usd("0.002")) as (client, _):
        plan = await client.plan(prompts(100, max_tokens=100), assume=QUICK, budget=usd(1))
    assert plan.stopped is trillium.StopCause.BUDGET
    assert plan.binding is Binding.BUDGET


async def test_a_budget_for_not_even_one_binds_though_nobody_waits_for_it() -> None:
    plan = await plan_of(prompts(10, max_tokens=100), assume=QUICK, budget=usd("0.000001"))
    assert (plan.completed, plan.makespan_s, plan.waits) == (0, 0.0, {})
    assert (plan.binding, plan.stopped) == (Binding.BUDGET, trillium.StopCause.BUDGET)


# Where requests come from.


async def test_a_source_may_be_asynchronous_and_is_closed() -> None:
    ended = []

    async def source() -> AsyncIterator[trillium.Request]:
        try:
            for request in prompts():
                await trio.lowlevel.checkpoint()
                yield request
        finally:
            ended.append(True)

    plan = await plan_of(source(), assume=QUICK)
    assert plan.requests == 8
    assert ended


async def test_a_request_that_cannot_be_sent_is_named_and_its_source_closed() -> None:
    ended = []

    async def source() -> AsyncIterator[trillium.Request]:
        try:
            yield trillium.Request("good")
            yield trillium.Request("bad", response_format="xml")  # type: ignore[arg-type]
            raise AssertionError("nobody reads on")
        finally:
            ended.append(True)

    with pytest.raises(trillium.InvalidRequestError, match=r"^request 1: "):
        await plan_of(source())
    assert ended


async def test_a_single_text_is_no_job() -> None:
    with pytest.raises(trillium.InvalidRequestError, match="requests takes several"):
        await plan_of("why?")


@pytest.mark.parametrize(
    "arguments",
    [{"concurrency": 0}, {"sample": -1}, {"sample": True}, {"sample": 1.5}],
)
async def test_bounds_that_are_none_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(trillium.InvalidRequestError):
        await plan_of(prompts(), **arguments)


@pytest.mark.parametrize(
    "fields",
    [
        {"output_tokens": 0},
        {"bytes_per_token": -1},
        {"first_token_s": -0.1},
        {"tokens_per_second": float("nan")},
        {"latency_spread": True},
        {"error_rate": 1},
        {"error_rate": "often"},
    ],
)
def test_assumptions_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(trillium.InvalidRequestError, match=next(iter(fields))):
        Assumptions(**fields)  # type: ignore[arg-type]


async def test_a_client_that_is_not_open_plans_nothing() -> None:
    client = trillium.open_client("openai/gpt-4.1", key="none")
    with pytest.raises(trillium.ClientClosedError):
        await client.plan(prompts())


# Several models.


async def test_several_models_are_planned_side_by_side_with_one_reading() -> None:
    def source() -> Iterator[trillium.Request]:
        yield from prompts(max_tokens=50)

    elsewhere = trillium.model("openai/gpt-4.1", key="none")
    async with open_shop() as (client, provider):
        plans = await client.plan_each(source(), ["m", "other"], assume=QUICK)
        others = await client.plan_each(source(), [elsewhere], assume=QUICK)
        assert not provider.ledger.received
    assert list(plans) == ["m", "other"]
    assert plans["m"].cost_usd == Decimal("0.0008")
    assert plans["other"].cost_usd is None
    assert others[elsewhere].endpoint == "openai"
    assert {plan.requests for plan in plans.values()} == {8}


# While it is made.


async def test_the_program_goes_on_meanwhile() -> None:
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery, open_shop() as (client, _):
        nursery.start_soon(tick)
        await client.plan(prompts(20), assume=QUICK)
        before = turns
        await client.plan(prompts(200), assume=QUICK)
        nursery.cancel_scope.cancel()
    assert turns > before + 10


async def test_a_cancelled_plan_leaves_no_thread() -> None:
    read = trio.Event()

    async def source() -> AsyncIterator[trillium.Request]:
        for request in prompts(3000):
            await trio.lowlevel.checkpoint()
            yield request
        read.set()

    async with open_shop() as (client, _):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.plan, source())
                await read.wait()
                scope.cancel()
        assert scope.cancelled_caught
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0


# A sample.


def test_a_sample_is_paid_for_and_told() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        plan = await client.plan(prompts(40), sample=10)
        assert provider.ledger.count("answered") == 10
        sample = plan.sample
        assert sample is not None
        assert (sample.asked, sample.answered) == (10, 10)
        answers = provider.ledger.answers
        spent = sum(entry.input_tokens * 2 + entry.output_tokens * 8 for entry in answers)
        assert sample.cost_usd == Decimal(spent) / 1_000_000
        assert sample.latency_s == pytest.approx(1 + 19 / 20)
        assert plan.assumptions.bytes_per_token == pytest.approx(4)
        assert plan.output_tokens == 40 * 20
        assert plan.output_rule == "as 10 sampled answers had it"
        assert plan.confidence == 0.9

    settings = SimulatorSettings(latency_s=1, tokens_per_second=20, output_tokens=20)
    in_shop(main, settings)


def test_a_sample_is_within_the_budget() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        budget = trillium.Budget(usd("0.002"))
        plan = await client.plan(prompts(40, max_tokens=40), sample=20, budget=budget)
        assert plan.sample is not None
        assert 0 < plan.sample.answered == provider.ledger.count("answered") < 20
        assert plan.sample.cost_usd == budget.spent_usd <= budget.limit_usd

    in_shop(main, SimulatorSettings(output_tokens=20))


def test_a_sample_of_all_leaves_nothing_to_guess() -> None:
    async def main(client: trillium.Client, _: SimulatedProvider) -> None:
        plan = await client.plan(prompts(8), sample=50)
        assert plan.sample is not None
        assert plan.sample.asked == 8
        assert plan.cost_usd is not None
        assert plan.cost_interval_usd == (plan.cost_usd, plan.cost_usd)
        assert plan.cost_usd == pytest.approx(plan.sample.cost_usd, abs=Decimal("1e-9"))
        assert plan.output_tokens_interval == (plan.output_tokens, plan.output_tokens)

    in_shop(main, SimulatorSettings(output_tokens=20, output_spread=0.5))


def test_of_a_few_answers_there_is_no_interval() -> None:
    async def main(client: trillium.Client, _: SimulatedProvider) -> None:
        plan = await client.plan(prompts(40), sample=3)
        assert plan.sample is not None
        assert plan.output_tokens == 40 * 20
        assert plan.confidence is None
        assert plan.cost_interval_usd is None
        assert plan.makespan_interval_s is None

    in_shop(main, SimulatorSettings(output_tokens=20))


def test_a_sample_without_an_answer_changes_nothing() -> None:
    async def main(client: trillium.Client, _: SimulatedProvider) -> None:
        plan = await client.plan(prompts(40), sample=3, assume=QUICK)
        assert plan.sample is not None
        assert plan.sample.answered == 0
        assert plan.sample.cost_usd == 0
        assert plan.output_tokens == 400
        assert "no sampled request was answered: nothing is known from them" in plan.notes

    in_shop(main, SimulatorSettings(models="another"))
