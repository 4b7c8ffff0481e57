"""Gives outcomes at a steady rate to a consumer, by way of a journal and without one.

``python -m benchmarks.journal_client RATE SECONDS WINDOWS FOLDER`` prints what it found as JSON, a
number for each window. Windows with and without a journal take turns, so that a slow moment of the
machine meets both.

A turn of the event loop costs ten times what a journal does, and varies more. So what is taken is
the CPU time within the calls that hand an outcome over, and beside it how many turns the journal
adds: those in which its thread wakes the loop. What such a turn costs is measured by itself.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import trio

import trillium
from benchmarks.work import ANSWER_TAIL, MODEL, prompt_text
from trillium._batch.journal_options import JournalOptions
from trillium._batch.journal_writer import JournalWriter
from trillium._batch.record import Record
from trillium._batch.sidecar import Identity
from trillium._batch.waiter import Waiter
from trillium._call.route import Route
from trillium.completions import Completion, FinishReason, Outcome, Usage

IN_FLIGHT: Final = 100
TURNS: Final = 200
TICK_S: Final = 0.001
"""Answers that come within it are taken out of the sockets in one turn of the loop."""

Deliver = Callable[[Outcome, trillium.Request, Route], None]


def outcome_of(index: int) -> Completion:
    """Return what a request may have come to."""
    return Completion(
        id=index,
        index=index,
        model=MODEL,
        endpoint="api.example",
        text=f"#{index}{ANSWER_TAIL}",
        finish_reason=FinishReason.STOP,
        usage=Usage(input_tokens=24, output_tokens=32),
        cost_usd=Decimal("0.0000608"),
        latency_s=0.5,
        attempts=1,
    )


class Consumer:
    """Takes outcomes as the iteration over a batch does."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.has_all = trio.Event()
        self.ready: list[Outcome] = []
        self.taken = 0
        self.woken = 0
        """Turns of the loop in which outcomes came that nobody handed over at that time."""
        self.hands_over = False
        self.waiter = Waiter()

    def give_out(self, outcome: Outcome) -> None:
        """Hand it an outcome."""
        if not self.hands_over and not self.ready:
            self.woken += 1
        self.ready.append(outcome)
        self.waiter.wake()

    async def run(self) -> None:
        """Take outcomes until cancelled."""
        while True:
            while not self.ready:
                await self.waiter.wait()
            self.taken += len(self.ready)
            self.ready.clear()
            if self.taken >= self.expected:
                self.has_all.set()


async def window(
    rate: float, seconds: float, consumer: Consumer, deliver: Deliver, route: Route
) -> float:
    """Deliver outcomes for so long; return the CPU that each took to be handed over, in µs."""
    at_once = max(1, int(rate * TICK_S))
    made = [
        (outcome_of(index), trillium.Request(prompt_text(index), id=index))
        for index in range(int(rate * seconds))
    ]
    spent, at = 0, trio.current_time()
    clock = time.thread_time_ns
    for first in range(0, len(made), at_once):
        group = made[first : first + at_once]
        consumer.hands_over = True
        began = clock()
        for outcome, request in group:
            deliver(outcome, request, route)
        spent += clock() - began
        consumer.hands_over = False
        at += at_once / rate
        await trio.sleep_until(at)
    return spent / 1000 / len(made)


async def window_recorded(
    rate: float, seconds: float, route: Route, path: Path
) -> tuple[float, float]:
    """Return what an outcome costs that goes through a journal, and the turns it adds."""
    record = Record(JournalOptions(path=path), Identity())
    record.open()
    consumer = Consumer(int(rate * seconds))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer.run)
        writer: JournalWriter = record.start(
            nursery, in_flight=lambda: IN_FLIGHT, give_out=consumer.give_out, failed=lambda: None
        )
        await trio.sleep(0.05)

        def deliver(outcome: Outcome, request: trillium.Request, _: Route) -> None:
            writer.admit(outcome.index)
            writer.append(outcome, request, route)

        cost_us = await window(rate, seconds, consumer, deliver, route)
        turns = consumer.woken
        await consumer.has_all.wait()
        nursery.cancel_scope.cancel()
    await record.aclose(finished=False, settled=True)
    assert consumer.taken == record.written == consumer.expected
    return cost_us, turns / consumer.taken


async def window_bare(rate: float, seconds: float, route: Route) -> float:
    """Return what an outcome costs that is given out at once, in µs."""
    consumer = Consumer(int(rate * seconds))

    def deliver(outcome: Outcome, _: trillium.Request, __: Route) -> None:
        consumer.give_out(outcome)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer.run)
        await trio.sleep(0.05)
        cost_us = await window(rate, seconds, consumer, deliver, route)
        await consumer.has_all.wait()
        nursery.cancel_scope.cancel()
    assert consumer.taken == consumer.expected
    return cost_us


async def turn_us() -> float:
    """Return what it costs to be woken by a thread, in µs: the least of many times."""
    token, clock = trio.lowlevel.current_trio_token(), time.thread_time_ns
    woken = trio.Event()
    costs = []
    for _ in range(TURNS):
        woken = trio.Event()

        def wake(event: trio.Event) -> None:
            time.sleep(TICK_S)  # a thread's: until the loop is asleep, so that it is woken
            token.run_sync_soon(event.set, idempotent=True)

        thread = threading.Thread(target=wake, args=(woken,))
        thread.start()
        began = clock()
        await woken.wait()
        costs.append((clock() - began) / 1000)
        thread.join()
    return sorted(costs)[len(costs) // 4]


async def main(rate: float, seconds: float, windows: int, folder: Path) -> None:
    """Measure, and print what was found."""
    bare, recorded, turns = [], [], []
    async with trillium.open_client(f"openai/{MODEL}", key="none") as client:
        route = client._routes.route(None)
        for index in range(windows + 1):
            path = folder / f"{index}.jsonl"
            found = await window_bare(rate, seconds, route)
            cost_us, share = await window_recorded(rate, seconds, route, path)
            path.unlink()
            if index:  # the first fills the caches
                bare.append(found)
                recorded.append(cost_us)
                turns.append(share)
    measured = {"bare": bare, "recorded": recorded, "turns": turns, "turn": await turn_us()}
    sys.stdout.write(json.dumps(measured))


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
