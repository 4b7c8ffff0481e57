"""`client.py`: its lifetime, many models and endpoints at once, bounds, and how it ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import trillium
from tests.virtual import run_simulated
from trillium import ClientClosedError, Completion, ErrorKind, Failure, UsageError
from trillium._transport.pool import Pool
from trillium.endpoints import Endpoint, Model
from trillium.simulator import (
    Ledger,
    Scripted,
    SimulatedProvider,
    SimulatorSettings,
    open_simulator,
)

SLOW = SimulatorSettings(latency_s=1.0, latency_spread=0.5)
STEADY = SimulatorSettings(latency_s=1.0)


def endpoint_of(provider: SimulatedProvider, name: str, **fields: Any) -> Endpoint:
    given: dict[str, Any] = {"base_url": provider.base_url, "key": provider.key}
    return Endpoint(name=name, **(given | fields))


def pool_of(client: trillium.Client) -> Pool:
    (station,) = client._routes.stations
    assert isinstance(station.transport, Pool)
    return station.transport


def prompts(count: int) -> list[trillium.Request]:
    return [trillium.Request(f"prompt {n}", id=n) for n in range(count)]


def virtually(main: Callable[[], Awaitable[object]]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))


# Its lifetime.

Operation = Callable[[trillium.Client], Awaitable[object]]
OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    OPERATIONS[function.__name__] = function
    return function


@operation
async def complete(client: trillium.Client) -> object:
    return await client.complete("Why?")


@operation
async def stream(client: trillium.Client) -> object:
    async with client.stream("Why?") as chunks:
        return await chunks.read()


@operation
async def batch(client: trillium.Client) -> object:
    async with client.batch(["Why?"]) as outcomes:
        return [outcome async for outcome in outcomes]


@operation
async def complete_all(client: trillium.Client) -> object:
    return await client.complete_all(["Why?"])


@operation
async def complete_each(client: trillium.Client) -> object:
    return await client.complete_each(["Why?"], ["sim-1"])


@operation
async def verify(client: trillium.Client) -> object:
    return await client.verify()


@pytest.mark.parametrize("name", OPERATIONS)
async def test_before_it_is_open_and_after_it_is_closed_there_is_one_clear_error(name: str) -> None:
    async with open_simulator() as provider:
        client = trillium.open_client("sim-1", base_url=provider.base_url, key=provider.key)
        with pytest.raises(ClientClosedError, match=r"not open: use async with open_client\("):
            await OPERATIONS[name](client)
        async with client:
            assert await OPERATIONS[name](client)
        received = provider.ledger.received
        with pytest.raises(ClientClosedError, match=r"closed: make another one with open_client"):
            await OPERATIONS[name](client)
        assert provider.ledger.received == received > 0


async def test_it_is_opened_and_closed_by_hand_also_from_different_tasks() -> None:
    async with open_simulator() as provider:
        client = trillium.open_client("sim-1", base_url=provider.base_url, key=provider.key)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.open)
        assert (await client.complete("Why?")).success
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
        await client.aclose()  # idempotent
        with pytest.raises(ClientClosedError):
            await client.complete("Why?")


async def test_closing_one_that_was_never_open_closes_it() -> None:
    client = trillium.open_client("ollama/m")
    await client.aclose()
    with pytest.raises(UsageError, match="this client is closed: make another one"):
        await client.open()


async def test_it_is_opened_once() -> None:
    client = trillium.open_client("ollama/m")
    async with client:
        with pytest.raises(UsageError, match="this client is open"):
            await client.open()
        with pytest.raises(UsageError, match="this client is open"):
            async with client:
                pass
    with pytest.raises(UsageError, match="this client is closed"):
        async with client:
            pass


def test_outside_of_trio_it_says_so() -> None:
    async def by_hand() -> None:
        await trillium.open_client("ollama/m").open()

    async def as_a_block() -> None:
        async with trillium.open_client("ollama/m"):
            pass

    for main in (by_hand, as_a_block):
        with pytest.raises(UsageError, match=r"a client lives in a trio program: trio\.run"):
            asyncio.run(main())


async def test_what_is_in_flight_breaks_when_it_is_closed() -> None:
    failures: list[trillium.RequestError] = []

    async def ask(client: trillium.Client) -> None:
        with pytest.raises(trillium.RequestError) as caught:
            await client.complete("Why?")
        failures.append(caught.value)

    async with open_simulator(SimulatorSettings(latency_s=60.0)) as provider:
        client = trillium.open_client(
            "sim-1",
            base_url=provider.base_url,
            key=provider.key,
            retry=trillium.RetryPolicy(max_attempts=1),
        )
        async with trio.open_nursery() as nursery, client:
            nursery.start_soon(ask, client)
            while not provider.ledger.in_flight:  # noqa: ASYNC110  # it tells nobody
                await trio.lowlevel.checkpoint()
        assert [failure.kind for failure in failures] == [ErrorKind.CONNECTION_FAILED]
        assert provider.ledger.received == 1


async def test_leaving_the_block_cancelled_closes_its_connections() -> None:
    async with open_simulator() as provider:
        client = trillium.open_client("sim-1", base_url=provider.base_url, key=provider.key)
        with trio.CancelScope() as scope:
            async with client:
                await client.complete("Why?")
                assert pool_of(client).open_connections == 1
                scope.cancel()
        assert pool_of(client).open_connections == 0


async def test_an_error_of_the_block_comes_out_as_the_very_object() -> None:
    error = ZeroDivisionError("of the user")
    with pytest.raises(ZeroDivisionError) as caught:
        async with trillium.open_client("sim/demo") as client:
            await client.verify()
            raise error
    assert caught.value is error


def test_its_repr_names_where_it_asks_and_no_key() -> None:
    client = trillium.open_client("openai/gpt-4.1", key="sk-test-4711")
    assert repr(client) == "<trillium.Client openai/gpt-4.1, new>"
    assert repr(trillium.open_client("ollama")) == "<trillium.Client ollama, new>"


# The provider in the box.


def test_sim_answers_in_the_client_s_block() -> None:
    async def main() -> None:
        async with trillium.open_client("sim/demo") as client:
            completion = await client.complete("Why is the sky blue?")
            assert (completion.endpoint, completion.model) == ("sim", "demo")
            assert "Why is the sky blue?" in completion.text
            assert (await client.verify()).success

    virtually(main)


async def test_sim_needs_a_block_and_says_so() -> None:
    client = trillium.open_client("sim/demo")
    await client.open()
    for ask in OPERATIONS.values():
        with pytest.raises(UsageError, match=r"use async with open_client\(\.\.\.\), not open\(\)"):
            await ask(client)
    await client.aclose()


def test_sim_is_opened_on_demand_beside_another_endpoint() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        completion = await client.complete("Why?", model=trillium.model("sim/demo"))
        assert completion.endpoint == "sim"
        assert provider.ledger.received == 0

    run_simulated(main)


# Which model, and where.


def test_a_model_is_the_request_s_own_or_the_call_s_or_the_client_s() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        own = trillium.Request("Why?", model="own/model")
        assert (await client.complete(own, model="of the call")).model == "own/model"
        assert (await client.complete("Why?", model="of the call")).model == "of the call"
        assert (await client.complete("Why?")).model == "sim-1"
        assert [e.model for e in provider.ledger.entries] == ["own/model", "of the call", "sim-1"]

    run_simulated(main)


async def test_no_model_at_all_is_refused_before_anything_is_sent() -> None:
    async with (
        open_simulator() as provider,
        trillium.open_client(base_url=provider.base_url, key=provider.key) as client,
    ):
        with pytest.raises(trillium.InvalidRequestError, match="no model: name one in the request"):
            await client.complete("Why?")
        with pytest.raises(trillium.InvalidRequestError, match="no model"):
            client.stream("Why?")
        (outcome,) = await client.complete_all(["Why?"])
        assert isinstance(outcome, Failure)
        assert outcome.error.kind is ErrorKind.INVALID_REQUEST
        assert (await client.complete("Why?", model="sim-1")).success
        assert provider.ledger.received == 1


def test_a_batch_opens_the_endpoints_of_its_models_on_demand() -> None:
    async def main(client: trillium.Client, first: SimulatedProvider) -> None:
        async with open_simulator(SLOW) as second:
            there = Model(
                endpoint_of(second, "second", dialect="anthropic", default_max_tokens=100), "other"
            )
            requests = [
                attrs.evolve(request, model=there if n % 3 == 0 else None)
                for n, request in enumerate(prompts(30))
            ]
            outcomes = await client.complete_all(requests, concurrency=5)
            assert [o.id for o in outcomes] == list(range(30))
            assert all(o.success for o in outcomes)
            assert {o.endpoint for o in outcomes[::3]} == {"second"}
            assert {(e.dialect, e.model) for e in second.ledger.entries} == {("anthropic", "other")}
            assert (len(second.ledger.entries), first.ledger.received) == (10, 20)
            assert len(client._routes.stations) == 2

    run_simulated(main, settings=SLOW)


@pytest.mark.parametrize("name", ["another", None], ids=["another name", "the same name"])
def test_an_endpoint_that_refuses_its_key_leaves_another_one_alone(name: str | None) -> None:
    """Two keys of one provider have the same name."""

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        locked = Model(
            endpoint_of(provider, name or client._routes.endpoint.name, key="sk-wrong"), "m"
        )
        requests = [
            trillium.Request(f"prompt {n}", model=locked if n % 2 else None) for n in range(100)
        ]
        outcomes = await client.complete_all(requests, concurrency=4)
        assert all(o.success for o in outcomes[::2])
        assert not any(o.success for o in outcomes[1::2])
        assert provider.ledger.count("refused") <= 4

    run_simulated(main, settings=STEADY)


# Many requests, many models.


def test_complete_all_has_the_order_of_its_input_and_every_failure() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda _: Scripted(status=400, text="no"), prompt="prompt 7")
        outcomes = await client.complete_all(iter(prompts(20)), concurrency=6)
        assert [o.id for o in outcomes] == [o.index for o in outcomes] == list(range(20))
        assert [o.id for o in outcomes if not o.success] == [7]

    run_simulated(main, settings=SLOW)


def test_complete_each_asks_all_models_at_once_and_keeps_the_order_in_each() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        found = await client.complete_each(
            (f"prompt {n}" for n in range(10)), models=["b", "a/x", "c"], concurrency=2
        )
        assert list(found) == ["b", "a/x", "c"]
        for model, outcomes in found.items():
            assert [o.index for o in outcomes] == list(range(10))
            assert {o.model for o in outcomes} == {model}
        assert trio.current_time() == pytest.approx(5.0)
        assert provider.ledger.most_in_flight == 6

    run_simulated(main, settings=STEADY)


def test_complete_each_takes_models_of_several_endpoints() -> None:
    async def main(client: trillium.Client, first: SimulatedProvider) -> None:
        async with open_simulator() as second:
            here = Model(endpoint_of(first, "here"), "m")
            there = Model(
                endpoint_of(second, "there", dialect="anthropic", default_max_tokens=100), "m"
            )
            found = await client.complete_each(["a", "b"], models=[here, there])
            assert list(found) == [here, there]
            assert [o.endpoint for o in found[there]] == ["there", "there"]
            assert (first.ledger.received, second.ledger.received) == (2, 2)

    run_simulated(main)


def test_complete_each_loses_nothing_to_a_model_that_fails() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        found = await client.complete_each(["a", "b"], models=["good", "bad"])
        assert all(isinstance(o, Completion) for o in found["good"])
        kinds = {o.error.kind for o in found["bad"] if isinstance(o, Failure)}
        assert ErrorKind.MODEL_NOT_FOUND in kinds
        assert not any(o.success for o in found["bad"])

    run_simulated(main, settings=SimulatorSettings(models=["good"]))


async def test_complete_each_refuses_what_cannot_be_told_apart() -> None:
    async with trillium.open_client("ollama") as client:
        with pytest.raises(trillium.InvalidRequestError, match="prompt 1 names a model itself"):
            await client.complete_each(["a", trillium.Request("b", model="m")], models=["x"])
        with pytest.raises(trillium.InvalidRequestError, match="a model stands twice"):
            await client.complete_each(["a"], models=["x", "y", "x"])
        assert await client.complete_each(["a"], models=[]) == {}
        assert await client.complete_each([], models=["x"]) == {"x": []}


# Bounds on concurrency.


def test_the_client_s_bound_holds_for_calls_streams_and_batches_together() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.complete_all, prompts(20))
            for _ in range(10):
                nursery.start_soon(client.complete, "single")
                nursery.start_soon(stream, client)
        assert provider.ledger.count("answered") == 40
        assert provider.ledger.most_in_flight == 3
        # No slot is wasted: 40 answers, 3 at a time.
        assert trio.current_time() == pytest.approx(14.0)

    run_simulated(main, settings=STEADY, concurrency=3)


def test_the_bound_is_of_each_endpoint() -> None:
    async def main(client: trillium.Client, first: SimulatedProvider) -> None:
        async with open_simulator(STEADY) as second:
            there = Model(endpoint_of(second, "there"), "m")
            await client.complete_each(
                prompts(8), models=[Model(client._routes.endpoint, "m"), there]
            )
            assert first.ledger.most_in_flight == second.ledger.most_in_flight == 2

    run_simulated(main, settings=STEADY, concurrency=2)


@pytest.mark.parametrize(
    ("of_client", "of_batch", "most"),
    # Where none is told it begins with 50, and each answer lets go one more.
    [(None, None, 70), (7, None, 7), (7, 3, 3), (3, 7, 3)],
)
def test_a_batch_keeps_the_narrower_of_two_bounds(
    of_client: int | None, of_batch: int | None, most: int
) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        await client.complete_all(prompts(120), concurrency=of_batch)
        assert provider.ledger.most_in_flight == most

    run_simulated(main, settings=STEADY, concurrency=of_client)


@pytest.mark.parametrize("bound", [0, -1, 2.5, True])
def test_what_is_no_bound_is_refused(bound: Any) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trillium.InvalidRequestError, match="concurrency is"):
            client.batch(["a"], concurrency=bound)

    run_simulated(main)


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf"), float("nan")])
def test_what_is_no_deadline_is_refused(seconds: float) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trillium.InvalidRequestError, match="deadline_s is"):
            client.batch(["a"], deadline_s=seconds)

    run_simulated(main)


# Ctrl-C.


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("where", ["consumer", "source", "observer"])
def test_ctrl_c_in_a_batch_comes_out_as_such_and_leaves_nothing(where: str) -> None:
    taken = 0
    ledgers: list[Ledger] = []
    clients: list[trillium.Client] = []

    def source() -> Iterator[str]:
        for n in range(1000):
            if where == "source" and n == 30:
                interrupt()
            yield f"prompt {n}"

    class Interrupting(trillium.Observer):
        def outcome(
            self, outcome: trillium.Outcome, *, request: trillium.Request | None = None
        ) -> None:
            if where == "observer" and outcome.index == 20:
                interrupt()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        nonlocal taken
        ledgers.append(provider.ledger)
        clients.append(client)
        async with client.batch(source(), concurrency=10, observer=Interrupting()) as batch:
            async for _ in batch:
                taken += 1
                if where == "consumer" and taken == 25:
                    interrupt()

    with pytest.raises(KeyboardInterrupt):
        run_simulated(main, settings=SLOW)
    assert taken < 100
    (ledger,) = ledgers
    assert ledger.in_flight == 0
    (station,) = clients[0]._routes.stations
    assert station.limiter.borrowed_tokens == 0
    assert pool_of(clients[0]).open_connections == 0
