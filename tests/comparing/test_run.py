"""Comparisons in virtual time, of providers whose latency, pace, price and faults are known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

import trillium
from tests.checkpoints import cancel_at_every_checkpoint
from trillium._comparing.run import Comparing, Terms
from trillium._policy.retry_policy import RetryPolicy
from trillium.client import comparing_of
from trillium.comparison import Comparison
from trillium.prices import Prices, parse_list
from trillium.simulator import (
    Faults,
    SimulatedProvider,
    SimulatedQuota,
    SimulatorSettings,
    open_simulator,
)

PROMPTS = [f"prompt {n}" for n in range(12)]


@attrs.frozen
class Rivals:
    """Providers, the model of each, and a client that may ask all of them."""

    client: trillium.Client
    providers: list[SimulatedProvider]
    models: list[trillium.Model]


def run_rivals(
    main: Callable[[Rivals], Awaitable[object]],
    *settings: SimulatorSettings,
    rates: tuple[tuple[int, int] | None, ...] = (),
    **client_arguments: Any,
) -> None:
    """Run `main` in virtual time with a provider for each of the settings.

    Args:
        main: The test.
        settings: Of the providers.
        rates: What each costs per million tokens of input and output, in USD; None is unknown.
        client_arguments: Of the client.
    """

    async def run() -> None:
        async with AsyncExitStack() as stack:
            providers = [await stack.enter_async_context(open_simulator(s)) for s in settings]
            hosts = [provider.base_url.split("/")[2] for provider in providers]
            lists = [
                parse_list(
                    f'provider = "{host}"\n[models.m]\ninput = {rate[0]}\noutput = {rate[1]}',
                    file="test",
                )
                for host, rate in zip(hosts, rates, strict=False)
                if rate is not None
            ]
            models = [
                trillium.Model(
                    trillium.Endpoint(name=host, base_url=provider.base_url, key=provider.key), "m"
                )
                for host, provider in zip(hosts, providers, strict=True)
            ]
            client = trillium.open_client(
                models[0], prices=Prices(tuple(lists)), **client_arguments
            )
            async with client:
                await main(Rivals(client, providers, models))

    trio.run(run, clock=MockClock(autojump_threshold=0))


def steady(
    latency_s: float = 1.0, per_s: float = 10.0, tokens: int = 21, **more: Any
) -> SimulatorSettings:
    """Return settings under which all answers are alike."""
    return SimulatorSettings(
        latency_s=latency_s,
        tokens_per_second=per_s,
        output_tokens=tokens,
        **more,
    )


def test_figures_are_those_of_the_providers() -> None:
    async def main(rivals: Rivals) -> None:
        found = await rivals.client.compare(PROMPTS, rivals.models, repeat=2)
        quick, slow = found.models
        for model, latency_s, first_s, per_s in ((quick, 2.5, 0.5, 10), (slow, 8.0, 4.0, 5)):
            assert (model.attempted, model.succeeded, model.failures) == (24, 24, {})
            assert model.latency_s is not None
            assert model.first_token_s is not None
            assert model.output_tokens_per_s is not None
            for percent in ("p50", "p90", "p99"):
                assert getattr(model.latency_s, percent) == pytest.approx(latency_s)
                assert getattr(model.first_token_s, percent) == pytest.approx(first_s)
                assert getattr(model.output_tokens_per_s, percent) == pytest.approx(per_s)
            assert model.output_tokens == 24 * 21
        assert (found.prompts, found.repeat, found.stop) == (12, 2, None)
        # Each at its own pace: the slow one's 24 requests, 4 at a time.
        assert found.elapsed_s == pytest.approx(48.0)
        assert max(s.started_s + s.latency_s for s in quick.samples) == pytest.approx(15.0)  # type: ignore[operator]  # all were sent

    run_rivals(main, steady(0.5, 10), steady(4.0, 5))


def test_costs_and_savings_are_exact() -> None:
    async def main(rivals: Rivals) -> None:
        found = await rivals.client.compare(PROMPTS, rivals.models)
        cheap, dear, unknown = found.models
        assert cheap.cost_usd == Decimal(cheap.input_tokens + 4 * cheap.output_tokens) / 10**6
        assert dear.cost_usd == 10 * cheap.cost_usd
        assert cheap.cost_per_1000_requests_usd == cheap.cost_usd * 1000 / 12
        assert dear.savings == 0.0
        assert cheap.savings == pytest.approx(0.9)
        assert (unknown.cost_usd, unknown.cost_per_1000_requests_usd, unknown.savings) == (
            None,
        ) * 3
        assert {sample.cost_usd for sample in unknown.samples} == {None}

    run_rivals(main, steady(), steady(), steady(), rates=((1, 4), (10, 40), None))


def test_each_prompt_has_its_answers_in_its_samples() -> None:
    async def main(rivals: Rivals) -> None:
        prompts = [trillium.Request(text, id=f"id-{n}") for n, text in enumerate(PROMPTS)]
        found = await rivals.client.compare(prompts, rivals.models, repeat=2, concurrency=3)
        for model in found.models:
            places = [(sample.repeat, sample.prompt) for sample in model.samples]
            assert places == [(again, n) for again in range(2) for n in range(12)]
            for sample in model.samples:
                assert isinstance(sample.outcome, trillium.Completion)
                assert sample.id == sample.outcome.id == f"id-{sample.prompt}"
                assert sample.outcome.index == sample.prompt
                assert f"prompt {sample.prompt}" in sample.outcome.text
                assert sample.cost_usd == sample.outcome.cost_usd

    run_rivals(main, steady(), steady())


def test_turns_go_round_in_the_order_of_the_prompts() -> None:
    async def main(rivals: Rivals) -> None:
        await rivals.client.compare(PROMPTS, rivals.models, concurrency=1, seed=3)
        for provider in rivals.providers:
            assert [entry.prompt for entry in provider.ledger.entries] == PROMPTS
        ledgers = zip(*(provider.ledger.entries for provider in rivals.providers), strict=True)
        for entries in ledgers:
            assert len({entry.received_s for entry in entries}) == 1

    run_rivals(main, steady(), steady(), steady())


def test_where_models_share_a_quota_they_get_it_in_turns() -> None:
    quota = SimulatedQuota(requests_per_second=1, burst_s=1)
    limits = trillium.Limits(requests_per_second=1)

    async def main(rivals: Rivals) -> None:
        names = ["a", "b", "c"]
        found = await rivals.client.compare(PROMPTS, names, concurrency=12, seed=5)
        entries = list(rivals.providers[0].ledger.entries)
        assert [entry.status for entry in entries] == [200] * 36
        assert [entry.prompt for entry in entries] == [p for p in PROMPTS for _ in names]
        first = Counter(entry.model for entry in entries[::3])
        assert first == {"a": 4, "b": 4, "c": 4}
        # Waiting for quota is nobody's latency.
        for model in found.models:
            assert model.latency_s is not None
            assert model.latency_s.most == pytest.approx(3.0)

    run_rivals(main, steady(quota=quota), limits=limits)


def test_no_model_has_more_in_flight_than_it_may() -> None:
    async def main(rivals: Rivals) -> None:
        await rivals.client.compare(PROMPTS, rivals.models, concurrency=3)
        assert [provider.ledger.most_in_flight for provider in rivals.providers] == [3, 3]
        await rivals.client.compare(PROMPTS, ["x", "y"], concurrency=3)
        assert rivals.providers[0].ledger.most_in_flight == 6

    run_rivals(main, steady(), steady(3.0))


def test_connections_are_made_before_anything_is_timed() -> None:
    async def main(rivals: Rivals) -> None:
        seen: list[int] = []
        pools = [rivals.client._routes.route(m).station.transport for m in rivals.models]

        class Watch(trillium.Observer):
            def admitted(self, *, index: int, model: str, endpoint: str) -> None:
                seen.append(sum(pool.open_connections for pool in pools))  # type: ignore[attr-defined]  # a pool is what it is

        found = await rivals.client.compare(PROMPTS, rivals.models, concurrency=3, observer=Watch())
        assert set(seen) == {6}
        assert all(model.connect_s is not None for model in found.models)
        assert {entry.path for p in rivals.providers for entry in p.ledger.entries} == {
            "/v1/chat/completions"
        }

    run_rivals(main, steady(), steady())


def test_through_httpx_they_come_with_the_list_of_models() -> None:
    async def main(rivals: Rivals) -> None:
        found = await rivals.client.compare(PROMPTS, rivals.models, concurrency=3)
        assert found.models[0].succeeded == 12
        paths = Counter(entry.path for entry in rivals.providers[0].ledger.entries)
        assert paths == {"/v1/models": 3, "/v1/chat/completions": 12}

        await transport.aclose()

    transport = httpx.AsyncHTTPTransport()
    run_rivals(main, steady(), transport=transport)


def test_a_server_that_nobody_reaches_delays_no_other() -> None:
    async def main(rivals: Rivals) -> None:
        nowhere = trillium.Model(trillium.Endpoint(name="no", base_url="http://127.0.0.1:1"), "m")
        found = await rivals.client.compare(PROMPTS, [nowhere, *rivals.models])
        assert [model.succeeded for model in found.models] == [0, 12]
        assert [model.connect_s is None for model in found.models] == [True, False]
        assert found.models[0].failures[trillium.ErrorKind.CONNECTION_FAILED] == 12
        assert max(s.started_s for s in found.models[1].samples) == pytest.approx(6.0)  # type: ignore[type-var]  # all were sent

    run_rivals(main, steady(), retry=RetryPolicy(max_attempts=2))


def test_a_server_that_never_speaks_delays_the_start_by_ten_seconds_and_no_figure() -> None:
    async def main(rivals: Rivals) -> None:
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listener.socket.getsockname()[1]
            silent = trillium.Endpoint(name="silent", base_url=f"https://127.0.0.1:{port}")
            nursery.start_soon(trio.serve_listeners, _say_nothing, [listener])
            started_at = trio.current_time()
            found = await rivals.client.compare(
                PROMPTS[:1],
                [trillium.Model(silent, "m"), *rivals.models],
                timeouts=trillium.Timeouts(request_s=5),
            )
            assert trio.current_time() - started_at == pytest.approx(15.0)
            nursery.cancel_scope.cancel()
        assert found.elapsed_s == pytest.approx(5.0)
        silent_s, quick_s = (model.connect_s for model in found.models)
        assert silent_s is None
        assert quick_s == pytest.approx(0.0)
        assert found.models[0].failures == {trillium.ErrorKind.REQUEST_TIMEOUT: 1}
        assert found.models[1].samples[0].latency_s == pytest.approx(3.0)

    run_rivals(main, steady())


async def _say_nothing(stream: trio.SocketStream) -> None:
    async with stream:
        await trio.sleep_forever()


def test_one_model_that_fails_loses_no_other() -> None:
    async def main(rivals: Rivals) -> None:
        rejected = attrs.evolve(
            rivals.models[1], endpoint=attrs.evolve(rivals.models[1].endpoint, key="wrong")
        )
        models = [rivals.models[0], rejected, rivals.models[2]]
        found = await rivals.client.compare(PROMPTS, models)
        good, refused, broken = found.models
        assert good.succeeded == 12
        assert refused.succeeded == 0
        # It was not asked twelve times, to be refused twelve times.
        assert refused.attempted == 4
        assert refused.failures == {
            trillium.ErrorKind.NOT_SENT: 8,
            trillium.ErrorKind.AUTHENTICATION: 4,
        }
        assert refused.latency_s is None
        assert refused.success_rate == 0.0
        assert refused.savings is None
        assert broken.attempted == 12
        assert broken.succeeded + sum(broken.failures.values()) == 12
        assert found.stop is None

    run_rivals(
        main,
        steady(),
        steady(),
        steady(faults=Faults(server_error=0.5)),
        rates=((1, 1), (1, 1), (1, 1)),
    )


def test_a_retry_counts_as_latency_but_not_in_tokens_per_second() -> None:
    async def main(rivals: Rivals) -> None:
        found = await rivals.client.compare(PROMPTS, rivals.models, concurrency=12)
        (model,) = found.models
        again = [sample for sample in model.samples if sample.attempts > 1]
        assert again
        for sample in again:
            assert sample.success
            assert sample.latency_s is not None
            assert sample.latency_s > 3.0
            assert sample.output_tokens_per_s == pytest.approx(10.0)
            assert sample.first_token_s == pytest.approx(1.0)

    run_rivals(main, steady(faults=Faults(unavailable=0.5)))


def test_an_answer_in_one_piece_has_no_speed() -> None:
    async def main(rivals: Rivals) -> None:
        settings = rivals.client.compare(PROMPTS, rivals.models)
        (model,) = (await settings).models
        assert model.succeeded == 12
        assert model.output_tokens_per_s is None

    run_rivals(main, SimulatorSettings(latency_s=1.0))


def test_a_deadline_ends_it_and_the_rest_was_not_sent() -> None:
    async def main(rivals: Rivals) -> None:
        found = await rivals.client.compare(PROMPTS, rivals.models, deadline_s=7, concurrency=1)
        assert found.stop is not None
        assert found.stop.cause is trillium.StopCause.DEADLINE
        for model in found.models:
            assert model.succeeded == 2
            assert model.failures[trillium.ErrorKind.NOT_SENT] == 9
            assert model.failures[trillium.ErrorKind.BATCH_DEADLINE] == 1
        assert found.elapsed_s == pytest.approx(7.0)

    run_rivals(main, steady(), steady())


def two_at_once(rivals: Rivals) -> Comparing:
    return comparing_of(rivals.client, PROMPTS, rivals.models, terms=Terms(concurrency=2))


def test_drained_it_tells_of_what_was_sent_alone() -> None:
    async def main(rivals: Rivals) -> None:
        comparing = two_at_once(rivals)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(comparing.run)
            await trio.sleep(4)
            comparing.batch.drain()
        found = comparing.found()
        assert found.stop is not None
        assert found.stop.cause is trillium.StopCause.DRAINED
        for model in found.models:
            assert len(model.samples) == model.succeeded == model.attempted == 4
        assert "drained" in json.dumps(found.to_json())

    run_rivals(main, steady(), steady())


def test_a_budget_is_never_passed_and_is_shared_in_turns() -> None:
    async def main(rivals: Rivals) -> None:
        budget = trillium.Budget(trillium.usd("0.005"))
        prompts = [trillium.Request(text, max_tokens=30) for text in PROMPTS * 4]
        found = await rivals.client.compare(prompts, rivals.models, budget=budget)
        assert found.stop is not None
        assert found.stop.cause is trillium.StopCause.BUDGET
        one, two = found.models
        assert budget.spent_usd == one.cost_usd + two.cost_usd  # type: ignore[operator]  # known
        assert budget.spent_usd <= budget.limit_usd
        assert budget.held_usd == 0
        assert one.succeeded > 3
        assert abs(one.succeeded - two.succeeded) <= 1

    run_rivals(main, steady(), steady(), rates=((2, 10), (2, 10)))


def test_cancelled_while_it_drains_it_tells_that_it_was_stopped() -> None:
    async def main(rivals: Rivals) -> None:
        comparing = two_at_once(rivals)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(comparing.run)
            await trio.sleep(4)
            comparing.batch.drain()
            nursery.cancel_scope.cancel()
        found = comparing.found()
        assert found.stop is not None
        assert found.stop.cause is trillium.StopCause.DRAINED
        assert comparing.batch.statistics().in_flight == 4

    run_rivals(main, steady(), steady())


def test_a_budget_that_no_longer_holds_the_dear_model_goes_on_with_the_cheap() -> None:
    async def main(rivals: Rivals) -> None:
        budget = trillium.Budget(trillium.usd("0.02"))
        prompts = [trillium.Request(text, max_tokens=30) for text in PROMPTS]
        found = await rivals.client.compare(prompts, rivals.models, budget=budget)
        dear, cheap = found.models
        assert 0 < dear.succeeded < 12
        assert dear.failures == {trillium.ErrorKind.NOT_SENT: 12 - dear.succeeded}
        assert (cheap.succeeded, cheap.failures) == (12, {})
        assert found.stop is not None
        assert found.stop.cause is trillium.StopCause.BUDGET
        assert dear.name in found.stop.message
        assert cheap.name not in found.stop.message
        assert budget.spent_usd <= budget.limit_usd
        assert budget.held_usd == 0
        (kind,) = {s.outcome.error.message for s in dear.samples if not s.success}  # type: ignore[union-attr]  # failures
        assert "the budget of $0.02 is used up" in kind

    run_rivals(main, steady(), steady(), rates=((20, 100), (1, 4)))


def test_a_retry_that_the_budget_does_not_hold_ends_its_model_alone() -> None:
    async def main(rivals: Rivals) -> None:
        budget = trillium.Budget(trillium.usd("0.0098"))
        prompts = [trillium.Request(text, max_tokens=30) for text in PROMPTS]
        found = await rivals.client.compare(prompts, rivals.models, budget=budget, concurrency=1)
        broken, cheap = found.models
        assert broken.succeeded == 0
        assert broken.failures == {
            trillium.ErrorKind.NOT_SENT: 11,
            trillium.ErrorKind.TRUNCATED: 1,
        }
        assert (cheap.succeeded, cheap.failures) == (12, {})
        assert found.stop is not None
        assert found.stop.message.endswith(f"another request of {broken.name}")
        assert budget.spent_usd <= budget.limit_usd

    run_rivals(main, steady(faults=Faults(cut=1.0)), steady(), rates=((20, 100), (1, 4)))


def test_a_budget_wants_the_price_of_every_model() -> None:
    async def main(rivals: Rivals) -> None:
        with pytest.raises(trillium.InvalidRequestError, match="no price is known"):
            await rivals.client.compare(PROMPTS, rivals.models, budget=trillium.usd(1))
        assert not any(provider.ledger.received for provider in rivals.providers)

    run_rivals(main, steady(), steady(), rates=((2, 10), None))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompts": []}, "no prompt"),
        ({"prompts": "one"}, "prompts takes several"),
        ({"prompts": [trillium.Request("x", model="m")]}, "names a model itself"),
        ({"models": []}, "no model"),
        ({"models": "m"}, "models takes several"),
        ({"models": ["m", "m"]}, "stands twice"),
        ({"repeat": 0}, "repeat is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"deadline_s": -1}, "deadline_s is -1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(arguments, words) -> None:
    async def main(rivals: Rivals) -> None:
        given = {"prompts": PROMPTS, "models": ["m"], **arguments}
        with pytest.raises(trillium.InvalidRequestError, match=words):
            await rivals.client.compare(**given)
        assert rivals.providers[0].ledger.received == 0

    run_rivals(main, steady())


def test_the_same_model_by_two_names_stands_twice() -> None:
    async def main(rivals: Rivals) -> None:
        with pytest.raises(trillium.InvalidRequestError, match="stands twice"):
            await rivals.client.compare(PROMPTS, ["m", rivals.models[0]])

    run_rivals(main, steady())


def test_a_closed_client_compares_nothing() -> None:
    async def main(rivals: Rivals) -> None:
        await rivals.client.aclose()
        with pytest.raises(trillium.ClientClosedError):
            await rivals.client.compare(PROMPTS, rivals.models)

    run_rivals(main, steady())


def test_cancelled_anywhere_it_leaves_nothing_held() -> None:
    async def main(rivals: Rivals) -> None:
        budget = trillium.Budget(trillium.usd(100))
        prompts = [trillium.Request(text, max_tokens=30) for text in PROMPTS[:2]]

        async def compare() -> Comparison:
            return await rivals.client.compare(prompts, rivals.models, concurrency=1, budget=budget)

        async def nothing_is_held() -> None:
            await trio.sleep(100)
            assert budget.held_usd == 0
            (station,) = {route.station for route in rivals.client._routes._routes.values()}
            pool = station.transport
            assert pool.open_connections == pool.idle_connections  # type: ignore[attr-defined]  # a pool
            assert all(e.outcome != "in_flight" for e in rivals.providers[0].ledger.entries)

        assert await cancel_at_every_checkpoint(compare, nothing_is_held) > 10
        assert (await compare()).models[0].succeeded == 2

    run_rivals(main, steady(tokens=3), rates=((2, 10),))


async def test_what_cannot_be_opened_is_told_as_one_error() -> None:
    client = trillium.open_client("sim/demo")
    await client.open()
    try:
        with pytest.raises(trillium.UsageError, match="inside the client's block"):
            await client.compare(PROMPTS, ["demo"])
    finally:
        await client.aclose()
