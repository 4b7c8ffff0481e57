"""What can be changed while a batch runs, in virtual time: what holds, and from when on."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trillium
from tests.call.test_limits import refusals
from tests.virtual import run_simulated
from trillium import Limits, Outcome, Quota, Request
from trillium.simulator import (
    SimulatedProvider,
    SimulatedQuota,
    SimulatorSettings,
    open_simulator,
)

SLOW = SimulatorSettings(latency_s=0.2)
UNEVEN = SimulatorSettings(latency_s=0.2, latency_spread=0.5)


def sends(provider: SimulatedProvider, since: float) -> list[float]:
    """Return when requests came from a time on, as seconds after it."""
    return [e.received_s - since for e in provider.ledger.entries if e.received_s >= since]


@pytest.mark.parametrize(("before", "after"), [(10, 1), (1, 10)])
def test_a_rate_holds_from_the_time_on_at_which_it_is_set(before: int, after: int) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(f"prompt {n}" for n in itertools.count()) as batch:
            await anext(batch)
            await trio.sleep(3)
            changed = trio.current_time()
            batch.set_limits(Limits(requests_per_second=after))
            async for _ in batch:
                if trio.current_time() > changed + 10:
                    break
        times = [at for at in sends(provider, changed) if 1 <= at <= 9]
        assert len(times) == pytest.approx(8 * after, abs=2)
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert min(gaps) > 0.9 / after, "evenly"

    run_simulated(main, settings=SLOW, limits=Limits(requests_per_second=before))


def test_a_limit_that_is_lowered_in_time_meets_no_refusal() -> None:
    """The user knows that the provider will permit less, and says so as it happens."""

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(f"prompt {n}" for n in range(100)) as batch:
            outcomes = [await anext(batch) for _ in range(30)]
            batch.set_limits(Limits(requests_per_minute=120))
            await trio.sleep(1)
            provider.simulator.set_quota(
                SimulatedQuota(requests_per_minute=120, burst_s=2.5), trio.current_time()
            )
            outcomes += [outcome async for outcome in batch]
        assert all(outcome.success for outcome in outcomes)
        assert len(outcomes) == 100
        assert refusals(provider) == 0

    quota = SimulatedQuota(requests_per_minute=600, burst_s=2.5)
    settings = SimulatorSettings(latency_s=0.2, header_style="none", quota=quota)
    run_simulated(main, settings=settings, limits=Limits(requests_per_minute=600))


@pytest.mark.parametrize("told", [None, Limits(concurrency=8)])
def test_concurrency_is_lowered_and_raised_whether_one_was_told_or_not(told: Limits | None) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(f"prompt {n}" for n in itertools.count()) as batch:

            async def most_in_flight() -> int:
                for _ in range(25):  # what went before the change
                    await anext(batch)
                seen = []
                for _ in range(30):
                    await anext(batch)
                    seen.append(provider.ledger.in_flight)
                return max(seen)

            batch.set_limits(Limits(concurrency=2))
            assert await most_in_flight() <= 2
            batch.set_limits(Limits(concurrency=20))
            assert 8 < await most_in_flight() <= 20
            batch.set_limits(Limits(concurrency=20), concurrency=3)
            assert await most_in_flight() <= 3

    run_simulated(main, settings=UNEVEN, limits=told)


def test_a_pause_holds_what_waits_for_quota_too_and_drain_ends_one() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        outcomes: list[Outcome] = []
        async with client.batch(f"prompt {n}" for n in range(20)) as batch:
            outcomes.append(await anext(batch))
            batch.pause()
            await trio.sleep(60)
            sent = provider.ledger.received
            await trio.sleep(60)
            assert provider.ledger.received == sent
            batch.resume()
            outcomes.append(await anext(batch))
            batch.pause()
            batch.drain()
            outcomes += [outcome async for outcome in batch]
        assert len(outcomes) == 20
        unsent = [o for o in outcomes if isinstance(o, trillium.Failure)]
        assert {o.error.kind.value for o in unsent} == {"not_sent"}
        assert len(outcomes) - len(unsent) == provider.ledger.received

    run_simulated(main, settings=SLOW, limits=Limits(requests_per_second=1))


@pytest.mark.parametrize("style", ["openai", "none"])
@pytest.mark.parametrize("binds", ["requests", "tokens"])
def test_a_quota_shared_by_clients_holds_for_all_of_them(style: str, binds: str) -> None:
    """Their batches and single calls are under way at the same time."""
    permits = {
        "requests": SimulatedQuota(requests_per_minute=300, burst_s=2.5, fill_s=1),
        "tokens": SimulatedQuota(tokens_per_minute=9000, burst_s=2.5, fill_s=1),
    }
    told = {
        "requests": Limits(requests_per_minute=300),
        "tokens": Limits(tokens_per_minute=9000),
    }
    settings = SimulatorSettings(latency_s=0.2, header_style=style, quota=permits[binds])

    async def main() -> None:
        quota = Quota(told[binds])
        async with open_simulator(settings) as provider:
            where: dict[str, Any] = {
                "base_url": provider.base_url,
                "key": provider.key,
                "limits": quota,
            }

            async def many(client: trillium.Client) -> None:
                requests = [Request(f"Say {n}", max_tokens=20) for n in range(25)]
                outcomes = await client.complete_all(requests)
                assert all(outcome.success for outcome in outcomes)

            async def single(client: trillium.Client) -> None:
                for n in range(10):
                    await client.complete(Request(f"Say it {n}", max_tokens=20))

            async def use(client: trillium.Client) -> None:
                async with client, trio.open_nursery() as tasks:
                    tasks.start_soon(many, client)
                    tasks.start_soon(single, client)

            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(use, trillium.open_client("sim-1", **where))
            assert refusals(provider) == 0
            assert len(provider.ledger.answers) == 3 * 35

    trio.run(main, clock=MockClock(autojump_threshold=0))
