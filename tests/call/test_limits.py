"""Limits from end to end, in virtual time, against a provider that is strict about them."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trillium
from tests.virtual import open_two_clients, run_simulated
from trillium import Completion, Failure, Limits, Quota, Request
from trillium._call.admission import Gate
from trillium._policy.admission import HELD, IDLE, Ticket
from trillium._policy.quota_bucket import SLACK_S
from trillium.simulator import (
    Scripted,
    SimulatedProvider,
    SimulatedQuota,
    SimulatorSettings,
)

STRICT = SimulatorSettings(
    latency_s=0.2, quota=SimulatedQuota(requests_per_minute=600, burst_s=2.5)
)
TOLD = Limits(requests_per_minute=600)


def refusals(provider: SimulatedProvider) -> int:
    return sum(entry.status == 429 for entry in provider.ledger.entries)


async def answer_all(client: trillium.Client, count: int, **arguments) -> float:
    before = trio.current_time()
    async with client.batch((f"prompt {i}" for i in range(count)), **arguments) as batch:
        outcomes = [outcome async for outcome in batch]
    assert len(outcomes) == count
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    return trio.current_time() - before


@pytest.mark.parametrize("style", ["openai", "anthropic", "ietf", "none"])
def test_told_limits_meet_no_refusal(style: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        took_s = await answer_all(client, 300)
        assert refusals(provider) == 0
        # 25 at once and 10 in a second; even pacing where no header tells of the 25.
        assert took_s <= (30.0 if style == "none" else 28.5) + 0.5

    settings = SimulatorSettings(latency_s=0.2, header_style=style, quota=STRICT.quota)
    run_simulated(main, settings=settings, limits=TOLD)


def test_limits_are_learnt_from_headers_and_can_be_shown() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        assert client.limits() == []
        await answer_all(client, 200, concurrency=10)
        assert refusals(provider) == 0
        (report,) = client.limits()
        assert (report.amount, report.window_s, report.told) == (600, 60, False)
        assert 20 <= report.at_once <= 25

    run_simulated(main, settings=STRICT)


def test_limits_that_are_far_away_cost_no_charge_and_are_kept_when_they_come_near() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        meter = client._routes.route(None).meter
        await answer_all(client, 100, concurrency=10)
        assert meter.resting
        assert meter.in_flight == 0
        await answer_all(client, 1300, concurrency=50)
        assert not meter.resting
        assert refusals(provider) == 0

    quota = SimulatedQuota(requests_per_minute=1000, tokens_per_minute=10**9)
    run_simulated(main, settings=SimulatorSettings(latency_s=0.2, quota=quota))


def test_what_many_tasks_ask_for_one_by_one_keeps_the_limits_too() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(client.complete, f"prompt {number}")
        assert refusals(provider) == 0

    run_simulated(main, settings=STRICT, limits=TOLD)


def test_single_calls_and_batches_find_out_together_how_many_may_be_in_flight() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(150):
                nursery.start_soon(client.complete, f"prompt {number}")
            nursery.start_soon(client.complete_all, [f"of a batch {i}" for i in range(150)])
            await trio.sleep(0.1)
            assert provider.ledger.received == 20
            await trio.sleep(0.4)
            assert 100 <= provider.ledger.received <= 160
        assert provider.ledger.received == 300
        adaptive = client._routes.route(None).station.adaptive
        assert adaptive is not None
        assert adaptive.borrowed_tokens == 0
        assert client.limits() == []
        provider.script([Scripted(status=503)])
        await client.complete("one that meets an overload")
        (report,) = client.limits()
        assert report.counted is trillium.Counted.CONCURRENT_REQUESTS

    run_simulated(main, settings=SimulatorSettings(latency_s=0.2))


def test_streams_find_out_how_many_may_be_in_flight() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async def read(number: int) -> None:
            async with client.stream(f"prompt {number}") as stream:
                async for _ in stream:
                    pass

        async with trio.open_nursery() as nursery:
            for number in range(150):
                nursery.start_soon(read, number)
        adaptive = client._routes.route(None).station.adaptive
        assert adaptive is not None
        assert adaptive.total_tokens > 50
        assert adaptive.borrowed_tokens == 0

    run_simulated(main, settings=SimulatorSettings(latency_s=0.2))


def test_a_batch_that_is_told_its_concurrency_has_a_bound_of_its_own() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        prompts = [f"prompt {i}" for i in range(400)]
        async with client.batch(prompts[:200], concurrency=120) as batch:
            await anext(batch)
            assert 120 <= provider.ledger.received <= 130
            assert len([outcome async for outcome in batch]) == 199
        before = provider.ledger.received
        async with client.batch(prompts[200:]) as batch:
            await trio.sleep(0.1)
            assert provider.ledger.received - before == 50
            batch.set_limits(concurrency=120)
            await trio.sleep(0.05)
            assert provider.ledger.received - before == 120
            assert len([outcome async for outcome in batch]) == 200

    run_simulated(main, settings=SimulatorSettings(latency_s=0.2))


def test_a_quota_that_two_clients_share_holds_for_both_together() -> None:
    async def main() -> None:
        async with open_two_clients(Quota(TOLD), STRICT) as (one, two, provider):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_all, one, 100)
                nursery.start_soon(answer_all, two, 100)
            assert refusals(provider) == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_one_refusal_holds_back_all_for_as_long_as_is_asked() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "60"})])
        took_s = await answer_all(client, 40, concurrency=4)
        assert took_s >= 60.0
        assert refusals(provider) == 1
        early = [e for e in provider.ledger.entries if e.received_s < 50.0 + _first(provider)]
        assert len(early) <= 4, "only what was in flight already"

    run_simulated(main, settings=SimulatorSettings(latency_s=0.2))


def test_one_refusal_holds_back_the_other_models_of_the_endpoint_too() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "60"})])
        requests = [Request(f"prompt {i}", model=f"sim-{i % 2}") for i in range(20)]
        outcomes = await client.complete_all(requests, concurrency=2)
        assert all(outcome.success for outcome in outcomes)
        early = [e for e in provider.ledger.entries if e.received_s < 50.0 + _first(provider)]
        assert {entry.model for entry in early} <= {"sim-0", "sim-1"}
        assert len(early) <= 2

    run_simulated(main, settings=SimulatorSettings(latency_s=0.2))


def test_a_stray_refusal_costs_a_small_batch_little_more_than_what_it_asks_for() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([None] * 60 + [Scripted(status=429, headers={"retry-after": "2"})])
        took_s = await answer_all(client, 200, concurrency=20)
        assert refusals(provider) == 1
        assert took_s <= 200 / 20 * 0.5 + 2.0 + 2.0
        await trio.sleep(40)
        await answer_all(client, 40, concurrency=4)
        assert client._routes.route(None).meter.quiet, "nothing is left of it"

    settings = SimulatorSettings(latency_s=0.5, header_style="none")
    run_simulated(main, settings=settings)


def test_a_limit_that_nobody_knows_fails_nothing_in_a_batch() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        took_s = await answer_all(client, 150)
        assert refusals(provider) >= 3
        assert took_s <= (150 - 5) / 2 * 1.25

    quota = SimulatedQuota(requests_per_minute=120, burst_s=2.5)
    settings = SimulatorSettings(latency_s=0.2, header_style="none", quota=quota)
    run_simulated(main, settings=settings, retry=trillium.RetryPolicy(max_attempts=2))


def _first(provider: SimulatedProvider) -> float:
    return min(entry.received_s for entry in provider.ledger.entries)


def test_what_can_never_fit_fails_before_anything_is_sent() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        request = Request("hello", max_tokens=5000)
        with pytest.raises(trillium.InvalidRequestError, match="can never be sent"):
            await client.complete(request)
        (outcome,) = await client.complete_all([request])
        assert isinstance(outcome, Failure)
        assert "can never be sent" in str(outcome.error)
        assert provider.ledger.received == 0

    run_simulated(main, limits=Limits(tokens_per_minute=1000))


def test_what_the_quota_lets_go_too_late_fails_at_once_outside_of_a_batch() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        await client.complete("one")
        before = trio.current_time()
        with pytest.raises(trillium.DeadlineError, match="the quota lets it go in 60 s"):
            await client.complete("two", timeouts=trillium.Timeouts(request_s=30))
        with trio.move_on_after(5), pytest.raises(trillium.DeadlineError):
            await client.complete("three", timeouts=trillium.Timeouts(request_s=None))
        assert trio.current_time() == before
        assert provider.ledger.received == 1

    run_simulated(main, limits=Limits(requests_per_minute=1))


def test_a_slow_quota_fails_nothing_in_a_batch() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        timeouts = trillium.Timeouts(request_s=1)
        assert await answer_all(client, 5, timeouts=timeouts) >= 240.0

    run_simulated(main, limits=Limits(requests_per_minute=1))


def test_a_batch_can_be_paused_and_goes_on() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        sources = (f"prompt {i}" for i in range(50))
        async with client.batch(sources, concurrency=5) as batch:
            taken = [await anext(batch)]
            batch.pause()
            await trio.sleep(500)
            at_pause = provider.ledger.received
            assert at_pause <= 10
            await trio.sleep(500)
            assert provider.ledger.received == at_pause
            batch.resume()
            taken += [outcome async for outcome in batch]
        assert all(outcome.success for outcome in taken)
        assert len(taken) == 50

    run_simulated(main, settings=SimulatorSettings(latency_s=0.2))


def test_limits_can_be_changed_while_a_batch_runs() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        before = trio.current_time()
        async with client.batch((f"prompt {i}" for i in range(40)), concurrency=5) as batch:
            await anext(batch)
            batch.set_limits(Limits(requests_per_second=100), concurrency=9)
            rest = [outcome async for outcome in batch]
        assert len(rest) == 39
        assert trio.current_time() - before < 10.0
        with pytest.raises(trillium.InvalidRequestError):
            batch.set_limits(concurrency=0)

    run_simulated(main, limits=Limits(requests_per_minute=60))


# A task that waits for quota keeps the time itself.


def gate_of(limits: Limits) -> tuple[Gate, Quota]:
    return Gate(), Quota(limits)


def ticket_of(gate: Gate, quota: Quota) -> Ticket:
    return Ticket(
        age=gate.queues.next_age(), queue="q", permits=(), meter=quota.meter("m"), request=None
    )


async def test_each_that_waits_is_let_go_in_its_time(autojump_clock) -> None:
    gate, quota = gate_of(Limits(requests_per_minute=60))
    start, went = trio.current_time(), []

    async def wait(ticket: Ticket) -> None:
        await gate.wait_held(ticket)
        went.append(trio.current_time() - start)
        ticket.sent = True
        gate.release(ticket)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(wait, ticket_of(gate, quota))
    assert went == pytest.approx([0, *(n - SLACK_S for n in range(1, 5))])
    assert gate.queues.waiting == 0


async def test_the_head_may_be_cancelled_and_the_next_keeps_the_time(autojump_clock) -> None:
    gate, quota = gate_of(Limits(requests_per_minute=60))
    first, second, third = (ticket_of(gate, quota) for _ in range(3))
    await gate.wait_held(first)
    first.sent = True
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def wait_cancelled() -> None:
            with scope:
                await gate.wait_held(second)

        nursery.start_soon(wait_cancelled)
        await wait_all_tasks_blocked()
        nursery.start_soon(gate.wait_held, third)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        assert second.state is IDLE
    assert third.state is HELD
    assert trio.current_time() - start == pytest.approx(1.0 - SLACK_S)


async def test_a_cancellation_at_the_very_time_of_the_timer_loses_nothing(autojump_clock) -> None:
    gate, quota = gate_of(Limits(requests_per_minute=60))
    first, second, third = (ticket_of(gate, quota) for _ in range(3))
    await gate.wait_held(first)
    first.sent = True
    start = trio.current_time()
    with trio.CancelScope(deadline=start + 1.0):
        await gate.wait_held(second)
    if second.state is HELD:
        gate.release(second)
    assert second.state is IDLE
    await gate.wait_held(third)
    assert trio.current_time() - start <= 2.0 + 1e-6
    assert gate.queues.waiting == 0


async def test_what_is_released_unsent_gets_its_charge_back(autojump_clock) -> None:
    gate, quota = gate_of(Limits(requests_per_minute=60))
    for _ in range(3):
        ticket = ticket_of(gate, quota)
        await gate.wait_held(ticket)
        gate.release(ticket)
    (bucket,) = quota.meter("m").buckets
    assert bucket.missing(trio.current_time()) == 0.0
    assert quota.meter("m").held_until == -math.inf
