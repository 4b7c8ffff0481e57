"""What is known from a sample lies where its plan says, at least as often as it says."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

import trillium
from tests.planning.shop import in_shop
from trillium._planning.calibration import Seen, redraw, tail_of
from trillium._planning.intervals import dice_of
from trillium.simulator import SimulatedProvider, SimulatorSettings

JOBS = 40


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


SEEN = tuple(Seen(100, 1 + place / 10) for place in range(10))


def test_the_last_of_many_answers_comes_late() -> None:
    few = tail_of(SEEN, 2, at_once=True, dice=dice_of("test"))
    many = tail_of(SEEN, 200, at_once=True, dice=dice_of("test"))
    assert few[0] < few[1] < many[1]
    assert few[0] < many[0]
    assert many[1] > 1.9  # the slowest that was seen is not the slowest there is


def test_answers_on_their_way_come_sooner_than_those_just_sent() -> None:
    sent = tail_of(SEEN, 20, at_once=True, dice=dice_of("test"))
    on_their_way = tail_of(SEEN, 20, at_once=False, dice=dice_of("test"))
    assert on_their_way[0] < sent[0]


def test_what_takes_no_time_has_no_tail() -> None:
    seen = [Seen(10, 0.0)] * 6
    assert tail_of(seen, 3, at_once=False, dice=dice_of("test")) == (0.0, 0.0)
    assert redraw(seen, [None, 5], dice_of("test")) == [Seen(10, 0.0), Seen(5, 0.0)]


def test_answers_that_are_drawn_are_no_longer_than_max_tokens() -> None:
    drawn = redraw(SEEN, [60, None] * 50, dice_of("test"))
    assert {one.output_tokens for one in drawn[::2]} == {60}
    assert max(one.output_tokens for one in drawn[1::2]) > 100
