"""Work is counted in steps, not in time: twice the requests, at most about twice the work.

A step is a call of one of the library's own functions, the simulated provider's left out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

import trillium
from tests.virtual import run_simulated
from trillium.simulator import SimulatedProvider, SimulatorSettings

LIBRARY = str(Path(trillium.__file__).parent)
SIMULATOR = str(Path(LIBRARY, "simulator"))


def steps_of_batch(count: int, *, concurrency: int) -> int:
    """Count the steps of a batch that goes over real connections, opened before."""
    steps = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal steps
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(LIBRARY) and not file.startswith(SIMULATOR):
            steps += 1

    async def main(client: trillium.Client, _: SimulatedProvider) -> None:
        async def ask(number: int) -> None:
            prompts = [f"prompt {n}" for n in range(number)]
            async with client.batch(prompts, concurrency=concurrency) as batch:
                assert [outcome.success async for outcome in batch] == [True] * number

        await ask(concurrency)
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            await ask(count)
        finally:
            sys.setprofile(before)

    run_simulated(main, settings=SimulatorSettings(latency_s=0.1, latency_spread=0.0))
    return steps


@pytest.mark.slow
def test_twice_the_requests_take_at_most_about_twice_the_steps() -> None:
    once, twice = (steps_of_batch(count, concurrency=10) for count in (60, 120))
    assert twice <= 2.05 * once


@pytest.mark.slow
def test_a_request_takes_no_more_steps_with_many_connections() -> None:
    few, many = (steps_of_batch(120, concurrency=concurrency) for concurrency in (10, 120))
    assert many <= 1.1 * few
