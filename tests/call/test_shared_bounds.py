"""Bounds on what is in flight that several share: single calls and batches, one client and two."""

from __future__ import annotations

import itertools

import pytest
import trio
from trio.testing import MockClock

import trillium
from tests.virtual import open_two_clients, run_simulated
from trillium import Limits, Quota
from trillium.simulator import SimulatedProvider, SimulatorSettings

SLOW = SimulatorSettings(latency_s=1.0)


@pytest.mark.parametrize(
    "told", [Limits(concurrency=2), Limits(models={"sim-1": Limits(concurrency=2)})]
)
def test_a_bound_that_a_batch_is_told_holds_for_single_calls_too(told: Limits) -> None:
    """Also for those that waited before it was told, and with what was in flight then."""

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with (
            client.batch(["one"]) as batch,
            trio.open_nursery() as nursery,
        ):
            await anext(batch)
            for n in range(8):
                nursery.start_soon(client.complete, f"before {n}")
            await trio.sleep(0.5)
            assert provider.ledger.in_flight == 8
            batch.set_limits(told)
            for n in range(8):
                nursery.start_soon(client.complete, f"after {n}")
            await trio.sleep(0.6)
            seen = []
            for _ in range(40):
                await trio.sleep(0.1)
                seen.append(provider.ledger.in_flight)
            assert max(seen) == 2
        assert provider.ledger.received == 17

    run_simulated(main, settings=SLOW)


@pytest.mark.parametrize(
    "told", [Limits(concurrency=1), Limits(models={"sim-1": Limits(concurrency=1)})]
)
def test_what_one_client_gives_back_another_gets(told: Limits) -> None:
    """The second has nothing in flight that could wake it."""

    async def main() -> None:
        async with open_two_clients(Quota(told), SLOW) as (one, two, provider):
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.complete, "one")
                await trio.sleep(0.1)
                nursery.start_soon(two.complete, "two")
            assert trio.current_time() - began == pytest.approx(2.0, abs=0.2)
            assert provider.ledger.most_in_flight == 1

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_client_with_much_to_do_does_not_keep_another_waiting() -> None:
    async def main() -> None:
        async with (
            open_two_clients(Quota(Limits(concurrency=2)), SLOW) as (one, two, _),
            one.batch((f"prompt {n}" for n in itertools.count()), concurrency=8) as batch,
        ):

            async def consume() -> None:
                async for _ in batch:
                    pass

            async with trio.open_nursery() as nursery:
                nursery.start_soon(consume)
                await trio.sleep(5.0)
                for n in range(3):
                    with trio.fail_after(30.0):  # those before it: the batch's window
                        await two.complete(f"single {n}")
                nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
