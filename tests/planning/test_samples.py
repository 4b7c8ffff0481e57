"""What is known from a sample lies where its plan says, at least as often as it says."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

import trillium
from tests.planning.shop import in_shop
from trillium.simulator import SimulatedProvider, SimulatorSettings

JOBS = 100


@pytest.mark.slow
def test_cost_tokens_and_time_lie_in_their_intervals_as_often_as_is_said() -> None:
    held: Counter[str] = Counter()

    def job(seed: int) -> None:
        requests = [
            trillium.Request(f"{seed} {place} ".ljust(200 + place * 37 % 200, "w"))
            for place in range(32)
        ]

        async def main(client: trillium.Client, _: SimulatedProvider) -> None:
            plan = await client.plan(requests, concurrency=4, sample=8)
            assert plan.confidence == 0.9
            began = trio.current_time()
            async with client.batch(requests, concurrency=4) as batch:
                async for outcome in batch:
                    assert outcome.success
            seconds, found = trio.current_time() - began, batch.statistics()
            assert plan.cost_interval_usd is not None
            assert plan.makespan_interval_s is not None
            assert plan.output_tokens_interval is not None
            low, high = plan.cost_interval_usd
            held["cost"] += low <= found.cost_usd <= high
            shortest, longest = plan.makespan_interval_s
            held["time"] += shortest <= seconds <= longest
            least, most = plan.output_tokens_interval
            held["tokens"] += least <= found.output_tokens <= most

        settings = SimulatorSettings(
            seed=seed,
            latency_s=0.5,
            latency_spread=0.3,
            tokens_per_second=100,
            output_tokens=60,
            output_spread=0.6,
        )
        in_shop(main, settings, seed=seed)

    for seed in range(JOBS):
        job(seed)
    assert {what: times >= 0.9 * JOBS for what, times in held.items()} == {
        "cost": True,
        "time": True,
        "tokens": True,
    }, held
