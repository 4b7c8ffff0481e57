"""The real command is killed again and again, and nothing that was recorded is lost or repeated.

The simulator's ledger, kept by this process, is the witness: it knows what was asked, and when.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import attrs
import pytest
import trio

from tests.cli.calling import read_outcomes, server, trillium, write_prompts
from tests.forking import Started, Wanted, the_server
from trillium._batch.sidecar import ADMITTED_STEP
from trillium._batch.unwritten import FREE_SHARE
from trillium.simulator import Scripted, SimulatedProvider, SimulatorSettings, open_simulator

pytestmark = pytest.mark.slow

SERIES = 3
KILLS_OF_A_SERIES = 18
CONCURRENCY = 8
PROMPTS = 500
IN_FLIGHT = CONCURRENCY + CONCURRENCY // FREE_SHARE + ADMITTED_STEP
"""At most so many may have been sent without a line on disk: those that are on their way, the share
of answers that are not written yet, and the step in which admission is noted."""
FLAGS = ("in.jsonl", "-o", "out.jsonl", "--no-progress", "--concurrency", str(CONCURRENCY))
HALTS = (None, "fdatasync", None, "write", None, "pwrite")
"""Where runs are killed in turn: anywhere, or inside of that call of the system."""


def recorded(path: Path) -> set[int]:
    """Return which prompts have a whole line in a journal."""
    if not path.exists():
        return set()
    whole = path.read_bytes().rpartition(b"\n")[0]
    return {json.loads(line)["index"] for line in whole.splitlines()}


def asked(provider: SimulatedProvider) -> Counter[int]:
    """Return how often the simulator was asked which prompt."""
    return Counter(int(entry.prompt.split()[1]) for entry in provider.ledger.entries)


@attrs.define
class Watch:
    """Kills a process when the simulator has answered so many requests more."""

    provider: SimulatedProvider
    left: int = 0
    reached: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.provider.ledger.write_to(self.note)

    def note(self, _: bytes) -> None:
        self.left -= 1
        if self.left <= 0:
            self.reached.set()

    async def wait(self, count: int) -> None:
        self.left, self.reached = count, trio.Event()
        await self.reached.wait()


async def killed_again_and_again(place: Path, series: int) -> None:
    """Kill one job at random moments, look after each kill, and let it come to its end."""
    dice = random.Random(series)
    source, out, said = (
        f"in-{series}.jsonl",
        place / f"out-{series}.jsonl",
        place / f"said-{series}",
    )
    write_prompts(place / source, (f"say {n}" for n in range(PROMPTS)))
    settings = SimulatorSettings(latency_s=0.015, latency_spread=0.5)
    async with open_simulator(settings) as provider:
        watch = Watch(provider)
        flags = (source, "-o", out.name, *FLAGS[3:], *server(provider))
        before: set[int] = set()
        times_before: Counter[int] = Counter()
        for kill in range(KILLS_OF_A_SERIES):
            call = HALTS[kill % len(HALTS)]
            durability = "fsync" if call == "fdatasync" else dice.choice(["fsync", "flush"])
            halt = None if call is None else (call, dice.randrange(1, 4), dice.random())
            started = ("batch", *flags, "--durability", durability)
            streams = [os.open(os.devnull, os.O_RDWR) for _ in range(2)]
            streams.append(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
            wanted = Wanted(arguments=started, halt=halt)
            async with the_server().open_run(wanted, streams) as run:
                if call is None:
                    await watch.wait(dice.randrange(1, 35))
                else:
                    await run.wait_halted()
                # Anywhere in its life; or as more and more answers are there and not written.
                await trio.sleep(dice.random() * 0.02)
                await run.kill()
            now, times = recorded(out), asked(provider)
            assert before <= now, "what was recorded is there"
            assert all(times[n] == times_before[n] for n in before), "and was not asked again"
            repeated = [n for n in times if times[n] > times_before[n] > 0]
            if kill:
                told = re.search(r"at most ([\d,]+) were in flight", said.read_text())
                bound = 0 if told is None else int(told[1].replace(",", ""))
                assert len(repeated) <= bound <= IN_FLIGHT
            if kill % 5 == 0 and now:
                # A machine that loses its power tears lines that a kill would not.
                with out.open("r+b") as file:
                    file.truncate(out.stat().st_size - dice.randrange(1, 100))
                now = recorded(out)
            before, times_before = now, times
        last = await trillium("batch", *flags)
        assert last.code == 0, last.err
        times = asked(provider)
        assert all(times[n] == times_before[n] for n in before)
    outcomes = sorted(read_outcomes(out), key=_index)
    assert [outcome["id"] for outcome in outcomes] == [str(n) for n in range(PROMPTS)]
    assert all(outcome["status"] == "completed" for outcome in outcomes)


async def test_nothing_recorded_is_lost_or_asked_again_after_any_kill(place: Path) -> None:
    async with trio.open_nursery() as nursery:
        for series in range(SERIES):
            nursery.start_soon(killed_again_and_again, place, series)


def _index(outcome: dict[str, int]) -> int:
    return outcome["index"]


async def test_two_processes_on_one_journal_are_kept_apart(place: Path) -> None:
    write_prompts(place / "in.jsonl", (f"say {n}" for n in range(20)))
    async with open_simulator() as provider:
        provider.script([None] * 5 + [Scripted(latency_s=1e6)] * 8)  # it does not end by itself
        watch = Watch(provider)
        flags = (*FLAGS, *server(provider))
        with Started("batch", *flags) as process:
            await watch.wait(5)
            for more in ((), ("--fresh",)):
                run = await trillium("batch", *flags, *more)
                assert run.code == 2
                assert "out.jsonl: another process is writing it" in run.err
            process.kill()
        assert provider.ledger.received == 5 + 8
    assert 0 < len(recorded(place / "out.jsonl")) <= 5


async def test_a_drained_run_leaves_nothing_in_flight(place: Path) -> None:
    write_prompts(place / "in.jsonl", (f"say {n}" for n in range(200)))
    async with open_simulator(SimulatorSettings(latency_s=0.05)) as provider:
        watch = Watch(provider)
        flags = (*FLAGS, *server(provider))
        with Started("batch", *flags, stderr=subprocess.PIPE) as process:
            await watch.wait(20)
            process.send_signal(signal.SIGTERM)
            await trio.to_thread.run_sync(process.communicate)
        assert process.returncode == 130
        count = len(read_outcomes(place / "out.jsonl"))
        assert count == provider.ledger.received == provider.ledger.count("answered")
        run = await trillium("batch", *flags)
        assert run.code == 0
        assert f"going on with out.jsonl: {count} completed\n" in run.err
        assert "in flight" not in run.err
        assert provider.ledger.received == 200


async def test_a_second_signal_ends_it_at_once(place: Path) -> None:
    write_prompts(place / "in.jsonl", (f"say {n}" for n in range(200)))
    async with open_simulator() as provider:
        provider.script([None] * 10 + [Scripted(latency_s=1e6)] * 8)
        watch = Watch(provider)
        flags = (*FLAGS, *server(provider), "--grace", "600")
        with Started("batch", *flags, stderr=subprocess.PIPE) as process:
            await watch.wait(10)
            while provider.ledger.received == 10:  # all may wait for the disk, none in flight
                await trio.lowlevel.checkpoint()
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            line = await trio.to_thread.run_sync(process.stderr.readline)
            process.send_signal(signal.SIGINT)
            await trio.to_thread.run_sync(process.communicate)
    assert process.returncode == 130
    assert "in flight may take up to 600 s" in line
