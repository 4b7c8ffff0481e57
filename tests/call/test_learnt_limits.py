"""What one client has learnt of limits, another begins with: in virtual time."""

from __future__ import annotations

import trio
from trio.testing import MockClock

import trillium
from tests.call.test_limits import answer_all, refusals
from trillium import LimitReport
from trillium.simulator import SimulatedQuota, SimulatorSettings, open_simulator


def test_a_second_run_meets_less_refusals_and_takes_a_higher_limit_up() -> None:
    """No headers tell: the first finds its pace by refusals."""
    low = SimulatedQuota(requests_per_minute=120, burst_s=2.5)
    settings = SimulatorSettings(latency_s=0.2, header_style="none", quota=low)

    async def main() -> None:
        met: list[int] = []
        learnt: list[LimitReport] = []
        async with open_simulator(settings) as provider:
            for _ in range(2):
                async with trillium.open_client(
                    "sim-1", base_url=provider.base_url, key=provider.key, learnt=learnt
                ) as client:
                    await answer_all(client, 50)
                    learnt = client.limits()
                met.append(refusals(provider) - sum(met))
                await trio.sleep(10)  # the bucket is full again
            assert met[1] < met[0]
            assert not any(report.told for report in learnt)
            assert 1.6 < learnt[0].amount < 2.4
            higher = SimulatedQuota(requests_per_minute=360, burst_s=2.5)
            provider.simulator.set_quota(higher, trio.current_time())
            async with trillium.open_client(
                "sim-1", base_url=provider.base_url, key=provider.key, learnt=learnt
            ) as client:
                assert await answer_all(client, 120) < 50.0, "a pace of 2 takes 60 s"

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_limits_of_headers_are_begun_with_and_follow_them() -> None:
    quota = SimulatedQuota(requests_per_minute=120, burst_s=2.5)
    settings = SimulatorSettings(latency_s=0.2, quota=quota)

    async def main() -> None:
        async with open_simulator(settings) as provider:
            async with trillium.open_client(
                "sim-1", base_url=provider.base_url, key=provider.key
            ) as client:
                await answer_all(client, 10)
                learnt = client.limits()
            before = refusals(provider)
            provider.simulator.set_quota(
                SimulatedQuota(requests_per_minute=1200, burst_s=2.5), trio.current_time()
            )
            async with trillium.open_client(
                "sim-1", base_url=provider.base_url, key=provider.key, learnt=learnt
            ) as client:
                await client.complete("one")
                (report,) = client.limits()
                assert (report.amount, report.told) == (1200, False)
                assert await answer_all(client, 60) < 4.0, "at 2 in a second it takes 30 s"
            assert refusals(provider) == before

    trio.run(main, clock=MockClock(autojump_threshold=0))
