"""What observers cost: none, one that does nothing, and those in the box, in µs of CPU a call.

`python -m benchmarks.bench_observers`. All are measured in one process and in turns, in many
short windows of a batch with 100 in flight; the least of each counts. Without an observer a call
tests for one some ten times: that is bounded from above by what a test costs, and shown beside.
"""

from __future__ import annotations

import logging
import os
import time
import timeit
from collections.abc import Callable

import trio

import trillium
from benchmarks.harness import Case, cores, open_server
from benchmarks.rivals.ours import _requests
from benchmarks.work import MODEL
from trillium._batch.progress import Progress
from trillium.logs import LoggingObserver

WINDOWS = 40
CALLS = 300
CONCURRENCY = 100
TESTS_PER_CALL = 10
"""Places on the way of a call that ask whether there is an observer."""


class Silent(trillium.Observer):
    """Is told everything, and does nothing."""


def observers() -> dict[str, Callable[[], trillium.Observer | None]]:
    """Return how each is made; OpenTelemetry's where it is installed."""
    logging.getLogger("trillium").setLevel(logging.WARNING)
    found: dict[str, Callable[[], trillium.Observer | None]] = {
        "none": lambda: None,
        "none, again": lambda: None,
        "one that does nothing": Silent,
        "the progress line's": lambda: Progress(started_at=0.0),
        "logs, quiet": LoggingObserver,
        "both of these": lambda: trillium.Observers(Progress(started_at=0.0), LoggingObserver()),
    }
    try:
        from trillium.otel import OpenTelemetryObserver
    except ModuleNotFoundError:
        return found
    return {**found, "OpenTelemetry, no SDK": OpenTelemetryObserver}


async def window_us(client: trillium.Client, observer: trillium.Observer | None) -> float:
    """Return what a call of one window costs, in µs of CPU."""
    began = time.process_time()
    requests = _requests(range(CALLS))
    async with client.batch(requests, concurrency=CONCURRENCY, observer=observer) as batch:
        async for outcome in batch:
            assert outcome.success
    return (time.process_time() - began) / CALLS * 1e6


async def measure(base_url: str) -> dict[str, float]:
    """Return the least that each costs."""
    least: dict[str, float] = {}
    made = observers()
    async with trillium.open_client(MODEL, base_url=base_url, key="x") as client:
        await window_us(client, None)  # opens the connections
        for _ in range(WINDOWS):
            for name, make in made.items():
                took = await window_us(client, make())
                least[name] = min(took, least.get(name, took))
    return least


def main() -> None:
    pinned = cores()
    if pinned is not None:
        os.sched_setaffinity(0, {pinned[0]})
    with open_server(Case(name="observers")) as served:
        least = trio.run(measure, served.base_url)
    none = least["none"]
    for name, us in least.items():
        print(f"{name:<24} {us:7.1f} µs a call  {us - none:+6.1f}")
    call = type("Call", (), {"__slots__": ("observer",)})()
    call.observer = None
    test = "if call.observer is not None: pass"
    times = timeit.repeat(test, globals={"call": call}, number=100_000, repeat=9)
    test_us = min(times) / 100_000 * 1e6
    most_us = TESTS_PER_CALL * test_us
    print(f"the tests for one: {most_us:.2f} µs a call at most, {most_us / none:.2%} of it")


if __name__ == "__main__":
    main()
