"""What a completion cost: told with it, with its batch, and in its line of the output."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import trillium
from tests.virtual import run_simulated
from trillium._call.admission import Gate
from trillium._call.route import Route, open_station
from trillium._money.cost import BatchCost, Cost, CostTally
from trillium._policy.retry_policy import RetryPolicy
from trillium._transport.pool import Pool
from trillium._wire.openai_answers import decode_answer_body
from trillium._wire.outcome_lines import encode_outcome
from trillium.completions import Answer, Completion, Failure, FinishReason, Usage
from trillium.endpoints import Endpoint
from trillium.errors import ErrorKind, NotSentError
from trillium.prices import Prices, load_prices, parse_list
from trillium.simulator import FaultKind, SimulatedProvider, SimulatorSettings

PER_TOKEN = {"input": Decimal("0.000002"), "output": Decimal("0.00001")}


def prices_of(host: str) -> Prices:
    """Return prices of $2 and $10 per million tokens for whatever a host serves."""
    text = f'provider = "{host}"\n[models."*"]\ninput = 2\noutput = 10\nmax_output = 1000'
    return Prices((parse_list(text, file="test"),))


def expected(usage: Usage | None) -> Decimal:
    assert usage is not None
    return usage.input_tokens * PER_TOKEN["input"] + usage.output_tokens * PER_TOKEN["output"]


def test_streamed_or_not_a_completion_tells_its_cost() -> None:
    async def main(_: trillium.Client, provider: SimulatedProvider) -> None:
        host = provider.base_url.split("/")[2]
        async with trillium.open_client(
            "sim-1", base_url=provider.base_url, key=provider.key, prices=prices_of(host)
        ) as client:
            plain = await client.complete("Why?")
            async with client.stream("Why?") as stream:
                streamed = await stream.read()
            watched = await client.complete("Why?", timeouts=trillium.Timeouts(stall_s=5))
            for completion in (plain, streamed, watched):
                assert completion.cost_usd == expected(completion.usage)
                assert completion.possibly_billed_usd == 0
            async with client.batch(["a", "b", trillium.Request("c", model="other")]) as batch:
                outcomes = [outcome async for outcome in batch]
            costs = [o.cost_usd for o in outcomes if isinstance(o, Completion)]
            total = sum((cost for cost in costs if cost is not None), Decimal(0))
            assert batch.cost.usd == batch.statistics().cost_usd == total > 0
            assert set(batch.cost.by_model) == {(host, "sim-1"), (host, "other")}
            assert batch.cost.by_endpoint == {host: Cost(usd=total)}

    run_simulated(main)


def test_without_a_price_the_cost_is_unknown_and_never_zero() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(["a", "b"]) as batch:
            outcomes = [outcome async for outcome in batch]
        assert [o.cost_usd for o in outcomes if isinstance(o, Completion)] == [None, None]
        assert batch.cost.all == Cost(unknown=2)
        assert b"cost_usd" not in encode_outcome(outcomes[0])

    run_simulated(main)


@pytest.mark.parametrize("known", [True, False])
def test_an_abandoned_attempt_is_possibly_billed_at_its_worst(*, known: bool) -> None:
    async def main(_: trillium.Client, provider: SimulatedProvider) -> None:
        host = provider.base_url.split("/")[2]
        async with trillium.open_client(
            "sim-1",
            base_url=provider.base_url,
            key=provider.key,
            prices=prices_of(host if known else "elsewhere"),
            retry=RetryPolicy(max_attempts=2),
        ) as client:
            provider.script([FaultKind.CUT], prompt="once")
            provider.script(lambda _: FaultKind.CUT, prompt="ever")
            async with client.batch(
                [trillium.Request("once", max_tokens=50), trillium.Request("ever", max_tokens=50)],
                ordered=True,
            ) as batch:
                once, ever = [outcome async for outcome in batch]
        assert (once.success, once.abandoned) == (True, 1)
        assert (ever.success, ever.abandoned) == (False, 2)
        assert isinstance(ever, Failure)
        assert ever.error.possibly_billed_usd == ever.possibly_billed_usd
        if not known:
            assert once.possibly_billed_usd is ever.possibly_billed_usd is None
            assert batch.cost.all.unknown == 2
            return
        assert once.possibly_billed_usd is not None
        assert ever.possibly_billed_usd is not None
        assert 50 * PER_TOKEN["output"] < once.possibly_billed_usd < Decimal("0.002")
        assert ever.possibly_billed_usd == 2 * once.possibly_billed_usd
        total = once.possibly_billed_usd + ever.possibly_billed_usd
        assert batch.cost.all.possibly_billed_usd == total
        assert json.loads(encode_outcome(ever))["possibly_billed_usd"] == float(
            ever.possibly_billed_usd
        )

    run_simulated(main, settings=SimulatorSettings(latency_s=0.1))


def test_a_line_of_output_has_the_cost_with_all_of_its_digits() -> None:
    completion = Completion(
        id="a",
        index=0,
        model="m",
        endpoint="e",
        text="",
        finish_reason=FinishReason.STOP,
        latency_s=1.0,
        cost_usd=Decimal("0.0012345678901234567890"),
    )
    assert b'"cost_usd":0.0012345678901234567890,' in encode_outcome(completion)


@pytest.mark.parametrize(
    ("base_url", "cost"),
    [("https://openrouter.ai/api/v1", "0.00123"), ("https://gateway.example/v1", None)],
)
async def test_openrouters_own_cost_goes_before_any_table(base_url: str, cost: str | None) -> None:
    body = (
        b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"model":"m","id":"i",'
        b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"cost":0.00123}}'
    )
    answer = decode_answer_body(body)
    assert isinstance(answer, Answer)
    assert answer.cost_usd == Decimal("0.00123")
    endpoint = Endpoint(name="x", base_url=base_url)
    route = a_route(endpoint)
    assert route.cost(answer) == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize("cost", ["true", '"0.1"', "-1", "{}", "null"])
def test_a_cost_that_is_none_is_none(cost: str) -> None:
    body = (
        '{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],'
        f'"usage":{{"prompt_tokens":1,"completion_tokens":1,"cost":{cost}}}}}'
    )
    answer = decode_answer_body(body.encode())
    assert isinstance(answer, Answer)
    assert answer.cost_usd is None


def a_route(endpoint: Endpoint) -> Route:
    station = open_station(endpoint, transport=Pool(), concurrency=None)
    tariff = load_prices().tariff(endpoint, "m")
    return Route(station, "m", Gate(), RetryPolicy(), 0, tariff)


def test_a_failure_that_was_not_sent_costs_nothing() -> None:
    tally = CostTally()
    error = NotSentError("stopped", kind=ErrorKind.NOT_SENT)
    tally.count(Failure(id=None, index=0, model="m", endpoint="e", error=error))
    assert tally.cost() == BatchCost(all=Cost(), by_model={("e", "m"): Cost()})
