"""Runs clients against strict providers over real sockets, several runs at the same time.

Each run has a provider and a client of its own, in two processes. Clients that keep limits are
idle most of the time, so that many fit into one machine: runs begin in order as long as the cores
that they use, by a guess, are there. `busy` in the figures shows whether that was so.
"""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.harness import ROOT, environment
from benchmarks.limited_cases import Figures, Setting, figures, job
from benchmarks.limited_client import BEGUN
from benchmarks.limited_provider import limits_of
from benchmarks.limited_work import LimitedReading, LimitedWork

CORES: Final = 0.8
"""How much of the machine runs may use together, providers included."""
PROVIDER_US: Final = 600.0
"""What the provider computes for each request, by a guess."""
PATIENCE: Final = 4.0
"""Clients that take longer than so many times the ideal are ended."""
LEAST_PATIENCE_S: Final = 20.0
GRACE_S: Final = 5.0
"""For imports and the making of prompts."""


@attrs.frozen(kw_only=True)
class Contestant:
    """A client that keeps limits."""

    module: str
    label: str
    cpu_us: float
    """Per request, by a guess."""
    knows_burst: bool = False
    """Whether it is told how much may come at once, too."""


OURS: Final = Contestant(module="ours", label="trillium", cpu_us=300)
OURS_BURST: Final = attrs.evolve(OURS, label="trillium, told the burst", knows_burst=True)
BY_SECOND: Final = Contestant(
    module="aiohttp_aiolimiter", label="aiohttp + aiolimiter by the second", cpu_us=500
)
BY_MINUTE: Final = Contestant(
    module="aiohttp_aiolimiter_minute", label="aiohttp + aiolimiter by the minute", cpu_us=500
)
OPENAI: Final = Contestant(module="openai_retries", label="openai-python, its retries", cpu_us=3500)
LM_DELUGE: Final = Contestant(module="lm_deluge_told", label="lm-deluge", cpu_us=800)
BATCH_LLM: Final = Contestant(module="async_batch_llm_told", label="async-batch-llm", cpu_us=4000)
BATCH_LLM_BURST: Final = attrs.evolve(
    BATCH_LLM, label="async-batch-llm, told the burst", knows_burst=True
)


@attrs.frozen
class Meeting:
    """One run: who meets whom."""

    setting: Setting
    contestant: Contestant

    @property
    def cores(self) -> float:
        """How much of the machine it uses, by a guess."""
        setting = self.setting
        per_s = len(job(setting)) / setting.ideal_s
        return per_s * (self.contestant.cpu_us + PROVIDER_US) / 1e6


def run_all(meetings: Sequence[Meeting]) -> list[Figures]:
    """Run them, as many at the same time as there is room for; return figures in order."""
    room = _Room(CORES)
    starting = threading.Lock()
    found: list[Figures | None] = [None] * len(meetings)

    def run(place: int, cores: float) -> None:
        try:
            found[place] = _run(meetings[place], starting)
        finally:
            room.leave(cores)

    with ThreadPoolExecutor(max_workers=len(meetings)) as pool:
        futures = []
        # Those that take longest go first, else they would be alone at the end.
        for place in sorted(range(len(meetings)), key=lambda n: -_length_s(meetings[n])):
            cores = min(CORES, meetings[place].cores)
            room.enter(cores)
            futures.append(pool.submit(run, place, cores))
        for future in futures:
            future.result()
    return [each for each in found if each is not None]


def _length_s(meeting: Meeting) -> float:
    setting = meeting.setting
    # Whoever paces evenly where a bucket holds much takes as much longer.
    return setting.ideal_s + setting.held_s


class _Room:
    """So many cores, shared by threads."""

    def __init__(self, cores: float) -> None:
        self._left = cores
        self._changed = threading.Condition()

    def enter(self, cores: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._left >= cores - 1e-9)
            self._left -= cores

    def leave(self, cores: float) -> None:
        with self._changed:
            self._left += cores
            self._changed.notify_all()


def _run(meeting: Meeting, starting: threading.Lock) -> Figures:
    setting, contestant = meeting.setting, meeting.contestant
    wanted = job(setting)
    patience_s = max(LEAST_PATIENCE_S, PATIENCE * setting.ideal_s)
    requests, tokens = limits_of(setting)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        # One after the other: to import a client takes a core for a second or two.
        with starting:
            provider = stack.enter_context(_provider(setting, folder))
            work = LimitedWork(
                contestant=contestant.module,
                base_url=provider.base_url,
                count=len(wanted),
                told=setting.told,
                requests_per_minute=requests,
                tokens_per_minute=tokens,
                burst_s=setting.held_s if contestant.knows_burst else None,
                patience_s=patience_s,
            )
            client = stack.enter_context(_client(work, folder))
        reading, failure = client.wait(patience_s + GRACE_S)
        seen = provider.end()
    found = _figures(setting, wanted, seen, reading)
    found = attrs.evolve(found, failure=failure)
    sys.stderr.write(
        f"{setting}: {contestant.label}: {found.ratio:.3f} x ideal, {found.answered:,} of"
        f" {found.asked:,}, {found.refused:,} refusals ({time.perf_counter() - began:.0f} s)"
        f" {failure}\n"
    )
    return found


def _figures(
    setting: Setting,
    wanted: Sequence[int],
    seen: Sequence[tuple[int, float, float, int]],
    reading: LimitedReading | None,
) -> Figures:
    first_s = min((received for _, received, _, _ in seen), default=0.0)
    started_s = first_s if reading is None else reading.started_s
    let_in_s = [math.nan] * len(wanted)
    end_s, refused = 0.0, 0
    for number, received_s, ended_s, status in seen:
        if status == 200:
            let_in_s[number] = received_s - started_s
            end_s = max(end_s, ended_s - started_s)
        else:
            refused += 1
    found = figures(setting, wanted, let_in_s, end_s=end_s, refused=refused)
    if reading is None:
        return found
    return attrs.evolve(
        found,
        cpu_us=reading.cpu_s / len(wanted) * 1e6,
        busy=reading.cpu_s / reading.wall_s,
        answered=min(found.answered, reading.answered),
    )


@attrs.define
class _Provider:
    base_url: str
    process: subprocess.Popen[str]
    told: Mapping[str, Any] | None = None

    def end(self) -> Sequence[tuple[int, float, float, int]]:
        """Stop serving; return what became of each attempt."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.told = json.loads(self.process.stdout.read())
        seen: Sequence[tuple[int, float, float, int]] = self.told["seen"]
        return seen


@contextmanager
def _provider(setting: Setting, folder: str) -> Iterator[_Provider]:
    file = Path(folder, "setting.json")
    file.write_text(json.dumps(attrs.asdict(setting)))
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.limited_provider", str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield _Provider(told["base_url"], process)
        finally:
            process.kill()


@attrs.define
class _Client:
    process: subprocess.Popen[str]
    result_file: Path

    def wait(self, patience_s: float) -> tuple[LimitedReading | None, str]:
        """Return its reading, or why there is none."""
        try:
            _, said = self.process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            return None, f"not done after {patience_s:.0f} s"
        if not self.result_file.exists():
            lines = [line for line in said.splitlines() if "Error" in line]
            return None, (lines or [f"exit status {self.process.returncode}"])[-1][:200]
        return LimitedReading(**json.loads(self.result_file.read_text())), ""


@contextmanager
def _client(work: LimitedWork, folder: str) -> Iterator[_Client]:
    """Start a fresh process that does the work, and wait until it has begun with it."""
    work_file, result_file = Path(folder, "work.json"), Path(folder, "result.json")
    work_file.write_text(work.dumps())
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.limited_client", str(work_file), str(result_file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
        text=True,
        errors="replace",
    ) as process:
        try:
            while process.poll() is None and not work_file.with_suffix(BEGUN).exists():
                time.sleep(0.05)  # not while it is measured: the client says that it begins
            yield _Client(process, result_file)
        finally:
            process.kill()
