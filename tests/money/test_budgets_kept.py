"""Budgets where they are kept: in batches, single calls and streams, whatever happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal

import pytest
import trio

import trillium
from tests.checkpoints import cancel_at_every_checkpoint
from tests.virtual import run_simulated
from trillium._policy.retry_policy import RetryPolicy
from trillium.prices import Prices, parse_list
from trillium.simulator import FaultKind, SimulatedProvider, SimulatorSettings

Main = Callable[[trillium.Client, SimulatedProvider], Awaitable[None]]

MAX_TOKENS = 1000
SETTINGS = SimulatorSettings(latency_s=1.0, latency_spread=0.5)
WORST = Decimal("0.0105")
"""What a request below may cost at most, a little more or less: 1,000 tokens at $10 a million."""


def requests(count: int, **fields: object) -> Iterator[trillium.Request]:
    for number in range(count):
        yield trillium.Request(f"prompt {number}", max_tokens=MAX_TOKENS, **fields)  # type: ignore[arg-type]  # of one type here


def run_priced(
    main: Main,
    *,
    settings: SimulatorSettings = SETTINGS,
    extra: str = "",
    **arguments: object,
) -> None:
    """Run `main` with a client that knows what the simulator costs: $2 and $10 a million."""

    async def with_prices(_: trillium.Client, provider: SimulatedProvider) -> None:
        host = provider.base_url.split("/")[2]
        rates = f'provider = "{host}"\n[models."sim-*"]\ninput = 2\noutput = 10\n{extra}'
        async with trillium.open_client(
            "sim-1",
            base_url=provider.base_url,
            key=provider.key,
            prices=Prices((parse_list(rates, file="test"),)),
            **arguments,  # type: ignore[arg-type]  # as the tests give them
        ) as client:
            await main(client, provider)

    run_simulated(with_prices, settings=settings)


def test_a_batch_stops_when_its_budget_does_not_hold_the_next_request() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        budget = trillium.Budget(trillium.usd("0.1"))
        async with client.batch(requests(2_000), budget=budget, concurrency=50) as batch:
            outcomes = [outcome async for outcome in batch]
        done = [o for o in outcomes if isinstance(o, trillium.Completion)]
        rest = [o for o in outcomes if isinstance(o, trillium.Failure)]
        assert len(outcomes) == 2_000
        assert {o.error.kind for o in rest} == {trillium.ErrorKind.NOT_SENT}
        assert provider.ledger.received == len(done)
        assert batch.stopped is not None
        assert batch.stopped.cause is trillium.StopCause.BUDGET
        assert "the budget of $0.1 is used up" in rest[0].error.message
        assert budget.held_usd == 0
        assert budget.spent_usd == batch.cost.usd
        assert budget.limit_usd - WORST < budget.spent_usd <= budget.limit_usd

    run_priced(main)


def test_with_enough_money_a_budget_changes_nothing() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(requests(40), budget=trillium.usd(5)) as batch:
            assert all([outcome.success async for outcome in batch])
        assert batch.stopped is None

    run_priced(main)


def test_while_holds_are_out_the_next_request_waits() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        budget = trillium.usd("0.035")  # three worst cases
        async with client.batch(requests(12), budget=budget, concurrency=10) as batch:
            outcomes = [outcome async for outcome in batch]
        assert all(outcome.success for outcome in outcomes)
        assert provider.ledger.most_in_flight == 3

    run_priced(main)


def test_an_abandoned_attempt_keeps_its_worst_case_as_spent() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([FaultKind.CUT, FaultKind.SERVER_ERROR])
        budget = trillium.Budget(trillium.usd(1))
        async with client.batch(requests(1), budget=budget) as batch:
            (outcome,) = [outcome async for outcome in batch]
        assert isinstance(outcome, trillium.Completion)
        assert outcome.attempts == 3
        assert outcome.possibly_billed_usd is not None
        assert outcome.cost_usd is not None
        assert outcome.possibly_billed_usd > trillium.usd("0.01")
        assert budget.spent_usd == outcome.cost_usd + outcome.possibly_billed_usd

    run_priced(main)


def test_a_retry_that_the_budget_does_not_hold_ends_the_call_with_its_fault() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda _: FaultKind.CUT)
        async with client.batch(requests(1), budget=trillium.usd("0.015")) as batch:
            (outcome,) = [outcome async for outcome in batch]
        assert isinstance(outcome, trillium.Failure)
        assert (outcome.attempts, outcome.error.kind) == (1, trillium.ErrorKind.TRUNCATED)
        assert "used up" in outcome.error.message
        assert batch.stopped is not None
        assert batch.stopped.cause is trillium.StopCause.BUDGET

    run_priced(main)


def test_budgets_nest_and_single_calls_and_streams_pay_too() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        inner = trillium.Budget(trillium.usd("0.03"))
        async with client.batch(requests(500), budget=inner) as batch:
            outcomes = [outcome async for outcome in batch]
        assert not all(outcome.success for outcome in outcomes)
        assert inner.spent_usd == outer.spent_usd
        assert outer.left_usd > 0
        (request,) = requests(1)
        completion = await client.complete(request)
        async with client.stream(request) as stream:
            streamed = await stream.read()
        assert completion.cost_usd is not None
        assert streamed.cost_usd is not None
        spent = inner.spent_usd + completion.cost_usd + streamed.cost_usd
        assert outer.spent_usd == spent
        async with client.stream(request) as stream:
            async for _ in stream:
                break
        assert outer.spent_usd > spent + trillium.usd("0.01"), (
            "what was left early costs its worst case"
        )
        assert outer.held_usd == 0
        with pytest.raises(trillium.NotSentError, match="used up"):
            while True:
                await client.complete(request)
        assert outer.limit_usd - WORST < outer.spent_usd <= outer.limit_usd

    outer = trillium.Budget(trillium.usd("0.06"))
    run_priced(main, budget=outer)


def test_two_batches_share_a_budget_and_none_starves() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        shared = trillium.Budget(trillium.usd("0.2"))
        done: list[int] = []

        async def run() -> None:
            async with client.batch(requests(2_000), budget=shared, concurrency=20) as batch:
                done.append(sum([outcome.success async for outcome in batch]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            nursery.start_soon(run)
        assert all(done)
        assert shared.held_usd == 0
        assert shared.limit_usd - WORST < shared.spent_usd <= shared.limit_usd

    run_priced(main)


def test_without_a_price_or_a_bound_a_budget_refuses() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trillium.InvalidRequestError, match="no price is known"):
            client.batch(["a"], model="other", budget=trillium.usd(1))
        with pytest.raises(trillium.InvalidRequestError, match=r"usd\(5\)"):
            client.batch(["a"], budget=5)  # type: ignore[arg-type]  # what is refused
        image = trillium.ImagePart(url="https://example.com/cat.png")
        unbounded = [
            trillium.Request("no bound of its own"),
            trillium.Request([trillium.user([image])], max_tokens=5),
            trillium.Request("of another model", model="other", max_tokens=5),
            trillium.Request("bounded", max_tokens=5),
        ]
        async with client.batch(unbounded, budget=trillium.usd(1), ordered=True) as batch:
            outcomes = [outcome async for outcome in batch]
        messages = [o.error.message for o in outcomes if isinstance(o, trillium.Failure)]
        kinds = [o.error.kind for o in outcomes if isinstance(o, trillium.Failure)]
        assert kinds == [trillium.ErrorKind.INVALID_REQUEST] * 3
        assert "give max_tokens" in messages[0]
        assert "context" in messages[1]
        assert "no price" in messages[2]
        assert outcomes[3].success
        assert provider.ledger.received == 1

    run_priced(main)


def test_a_known_output_cap_or_context_window_bounds_an_answer() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        budget = trillium.Budget(trillium.usd(1))
        async with client.batch(["a"], budget=budget) as batch:
            async for outcome in batch:
                assert outcome.success

    run_priced(main, extra="max_output = 500")
    run_priced(main, extra="context = 8192")


@pytest.mark.slow
@pytest.mark.parametrize("faulty", [False, True])
def test_cancelled_at_any_checkpoint_no_cent_is_held_or_lost(*, faulty: bool) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async def operation() -> None:
            if faulty:
                provider.simulator.clear_scripts()
                provider.script([FaultKind.SERVER_ERROR, None, FaultKind.CUT])
            inner = trillium.Budget(trillium.usd("0.03"))
            async with client.batch(requests(6), budget=inner, concurrency=2) as batch:
                async for _ in batch:
                    pass

        async def after_each() -> None:
            await trio.lowlevel.checkpoint()
            assert outer.held_usd == 0
            assert not outer._purses

        await cancel_at_every_checkpoint(operation, after_each)

    outer = trillium.Budget(trillium.usd(1_000))
    run_priced(main, budget=outer, retry=RetryPolicy(max_attempts=3))


def test_a_batch_without_a_model_of_its_own_is_paid_for_by_those_of_its_requests() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        host = provider.base_url.split("/")[2]
        rates = f'provider = "{host}"\n[models."*"]\ninput = 2\noutput = 10'
        prices = Prices((parse_list(rates, file="test"),))
        async with trillium.open_client(
            base_url=provider.base_url, key=provider.key, prices=prices
        ) as other:
            budget = trillium.Budget(trillium.usd(1))
            async with other.batch(requests(3, model="sim-1"), budget=budget) as batch:
                assert all([outcome.success async for outcome in batch])
            assert budget.spent_usd == batch.cost.usd > 0

    run_priced(main)
