"""Starts a server and, in turn, the clients; gathers what they measured.

Client and server are pinned to cores of their own. Rounds are interleaved (A B C, A B C, ...),
so that a slow minute of the machine meets all alike; every measurement is a fresh process.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import attrs
import trustme

from benchmarks.work import Reading, Work, write_input

ROOT: Final = Path(__file__).resolve().parent.parent
SLOW_US: Final = 1_000
"""A client whose plain call costs more than this is a slow one."""
OURS: Final = "ours"
"""The adapter that all ratios refer to."""


@attrs.frozen(kw_only=True)
class Entrant:
    """One client, and a guess at its costs, from which the number of requests is chosen."""

    label: str
    call_us: float
    """Per plain call at 100 in flight."""
    event_us: float = 0
    """Per streamed event; 0 where it does not stream."""
    growth: float = 0
    """What a call costs more for each thousand connections, as a multiple of ``call_us``."""
    has_job: bool = False
    embedded: bool = False
    """Asked by `bench_embedding` alone: trillium once more, through one of its doors."""


ENTRANTS: Final[Mapping[str, Entrant]] = {
    OURS: Entrant(label="trillium", call_us=80, event_us=8, has_job=True),
    "floor": Entrant(label="floor: raw trio sockets", call_us=40, event_us=1, has_job=True),
    "aiohttp_gather": Entrant(
        label="aiohttp, semaphore, gather", call_us=250, event_us=15, has_job=True
    ),
    "aiohttp_uvloop": Entrant(label="the same on uvloop", call_us=200, event_us=15, has_job=True),
    "httpx_trio": Entrant(label="httpx on trio", call_us=2200, event_us=50, growth=0.5),
    "httpx_asyncio": Entrant(label="httpx on asyncio", call_us=3000, event_us=50, growth=0.5),
    "openai_sdk": Entrant(
        label="openai-python", call_us=3000, event_us=200, growth=1, has_job=True
    ),
    "lm_deluge_batch": Entrant(label="lm-deluge", call_us=500, has_job=True),
    "async_batch_llm_batch": Entrant(label="async-batch-llm", call_us=3500, growth=1, has_job=True),
    "embedded_trio": Entrant(
        label="trillium, single calls", call_us=100, event_us=8, embedded=True
    ),
    "embedded_asyncio": Entrant(label="trillium.aio", call_us=140, event_us=8, embedded=True),
    "embedded_uvloop": Entrant(
        label="trillium.aio on uvloop", call_us=140, event_us=8, embedded=True
    ),
    "embedded_sync": Entrant(
        label="trillium.sync, threads", call_us=180, event_us=8, embedded=True
    ),
}


@attrs.frozen(kw_only=True)
class Case:
    """What all clients of one table are asked to do."""

    name: str
    operation: str = "calls"
    concurrency: int = 100
    latency_ms: float = 0
    tls: bool = False
    events: int = 0
    gap_ms: float = 0
    stamped: bool = False
    """Each event's text is the server's clock."""
    count: int | None = None
    """Requests per measurement; None lets it depend on the client's speed."""

    def wants_server_of(self, other: "Case") -> bool:
        """Whether both are answered in the same way."""
        return (self.latency_ms, self.tls, self.events, self.gap_ms, self.stamped) == (
            other.latency_ms,
            other.tls,
            other.events,
            other.gap_ms,
            other.stamped,
        )


@attrs.frozen(kw_only=True)
class Plan:
    """How much effort a run makes."""

    quick: bool
    rounds: int
    slow_rounds: int
    """Rounds that slow clients take part in."""
    target_s: float
    """CPU time that one measurement should take at least, so that noise averages out."""
    patience_s: float
    """A client that takes longer is ended, and not asked again in this case."""
    case_s: float = math.inf
    """A case begins no other round that would end later than this, as long as the last one took;
    so a slow machine measures less often, and not for longer."""
    entrants: tuple[str, ...] = tuple(ENTRANTS)
    """Those that run at all."""

    def choose(self, names: Sequence[str]) -> list[str]:
        """Return those of ``names`` that run, in order."""
        return [name for name in names if name in self.entrants]


@attrs.define
class Series:
    """The measurements of one client in one case."""

    count: int
    readings: list[Reading] = attrs.field(factory=list)
    failure: str | None = None
    """Why there are none, or no more."""

    def cpu_us(self) -> float:
        """Return the median CPU time per request in µs; nan without measurements."""
        return median(r.cpu_us for r in self.readings) if self.readings else float("nan")

    def spread_us(self) -> tuple[float, float]:
        """Return the lowest and the highest CPU time per request in µs."""
        costs = [reading.cpu_us for reading in self.readings] or [float("nan")]
        return min(costs), max(costs)


def cores() -> tuple[int, int] | None:
    """Return the client's core and the server's; None on a machine with one core."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else None


@attrs.frozen(kw_only=True)
class Served:
    """A running server."""

    base_url: str
    pid: int
    ca_file: str | None


def environment() -> dict[str, str]:
    """Return what the processes that are measured find in their environment."""
    # The library is found in src when it is not installed.
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextmanager
def open_server(case: Case) -> Iterator[Served]:
    """Run a server for a case, on its own core."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.server"]
        command += ["--latency-ms", str(case.latency_ms), "--events", str(case.events)]
        command += ["--gap-ms", str(case.gap_ms), *(["--stamped"] if case.stamped else [])]
        pinned = cores()
        if pinned is not None:
            command += ["--core", str(pinned[1])]
        ca_file = None
        if case.tls:
            authority = trustme.CA()
            ca_file = str(Path(folder, "ca.pem"))
            authority.cert_pem.write_to_path(ca_file)
            certificate = str(Path(folder, "server.pem"))
            issued = authority.issue_cert("127.0.0.1", "localhost")
            issued.private_key_and_cert_chain_pem.write_to_path(certificate)
            command += ["--certificate", certificate]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            started = json.loads(process.stdout.readline())
            scheme = "https" if case.tls else "http"
            try:
                yield Served(
                    base_url=f"{scheme}://127.0.0.1:{started['port']}/v1",
                    pid=started["pid"],
                    ca_file=ca_file,
                )
            finally:
                process.stdin.close()


class ClientFailedError(Exception):
    """A client process did not finish, or its answers were wrong."""


def run_client(work: Work, *, patience_s: float) -> Reading:
    """Do the work in a fresh process.

    Raises:
        ClientFailedError: It failed or took too long; the message says which.
    """
    with tempfile.TemporaryDirectory() as folder:
        work_file, result_file = Path(folder, "work.json"), Path(folder, "result.json")
        work_file.write_text(json.dumps(attrs.asdict(work)))
        command = [sys.executable, "-m", "benchmarks.client", str(work_file), str(result_file)]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment(),
                timeout=patience_s,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ClientFailedError(f"not done after {patience_s:.0f} s") from None
        if done.returncode:
            raise ClientFailedError(_last_error(done.stderr) or f"exit status {done.returncode}")
        return Reading(**json.loads(result_file.read_text()))


def _last_error(stderr: str) -> str:
    """Return the line that names the error; a group's traceback ends in a rule."""
    lines = [line.strip(" |+") for line in stderr.splitlines() if "Error" in line]
    return lines[-1][:200] if lines else ""


def choose_count(name: str, case: Case, plan: Plan) -> int:
    """Return how many requests a client makes in one measurement.

    Slow clients make fewer, but never so few that not every connection is used.
    """
    if case.count is not None:
        return case.count
    entrant = ENTRANTS[name]
    if case.operation == "streams":
        cost_us = entrant.event_us * case.events + 2 * entrant.call_us
        if case.gap_ms:
            return case.concurrency  # one wave: its time is the pace's
        return max(case.concurrency, int(plan.target_s * 1e6 / cost_us))
    cost_us = entrant.call_us * (1 + entrant.growth * case.concurrency / 1000)
    return max(case.concurrency, int(plan.target_s * 1e6 / cost_us))


def measure(case: Case, plan: Plan, names: Sequence[str]) -> dict[str, Series]:
    """Measure clients in interleaved rounds against one server.

    Returns:
        By name of the client, in the order given.
    """
    return measure_together({case: names}, plan)[case]


def measure_together(
    cases: Mapping[Case, Sequence[str]], plan: Plan
) -> dict[Case, dict[str, Series]]:
    """Measure several cases in the same rounds, so that what is compared is of the same minute.

    Args:
        cases: The names of the clients of each; all of them want the same of the server.
        plan: How much effort is made.

    Returns:
        By case and name of the client, in the order given.
    """
    results = {
        case: {name: Series(choose_count(name, case, plan)) for name in plan.choose(names)}
        for case, names in cases.items()
    }
    first, *others = cases
    assert all(other.wants_server_of(first) for other in others)
    with open_server(first) as served, tempfile.TemporaryDirectory() as folder:
        begun_s = ends_s = time.perf_counter()
        for index in range(plan.rounds):
            round_s, ends_s = ends_s, time.perf_counter()
            if index and 2 * ends_s - round_s - begun_s > plan.case_s:
                break
            for case, of_case in results.items():
                for name, series in of_case.items():
                    slow = ENTRANTS[name].call_us > SLOW_US
                    if series.failure is None and not (slow and index >= plan.slow_rounds):
                        began = time.perf_counter()
                        _measure_once(
                            case,
                            name,
                            series,
                            served,
                            folder=Path(folder),
                            patience_s=plan.patience_s,
                        )
                        _say(case, index, name, series, time.perf_counter() - began)
    return results


def work_of(case: Case, name: str, count: int, served: Served, folder: Path) -> Work:
    """Return what a client is to do, and write the input of a job into the folder."""
    pinned = cores()
    input_file, output_file = folder / "in.jsonl", folder / "out.jsonl"
    if case.operation == "job":
        write_input(input_file, count)
    return Work(
        rival=name,
        operation=case.operation,
        base_url=served.base_url,
        server_pid=served.pid,
        concurrency=case.concurrency,
        count=count,
        warmup=0 if case.operation == "job" else case.concurrency,
        events=case.events,
        paced=bool(case.gap_ms),
        ca_file=served.ca_file,
        core=None if pinned is None else pinned[0],
        input_file=str(input_file),
        output_file=str(output_file),
    )


def _measure_once(
    case: Case, name: str, series: Series, served: Served, *, folder: Path, patience_s: float
) -> None:
    work = work_of(case, name, series.count, served, folder)
    try:
        series.readings.append(run_client(work, patience_s=patience_s))
    except ClientFailedError as error:
        series.failure = str(error)
    for file in folder.iterdir():
        file.unlink()


def _say(case: Case, index: int, name: str, series: Series, took_s: float) -> None:
    if series.failure is not None:
        fact = series.failure
    else:
        fact = f"{series.readings[-1].cpu_us:.1f} µs of CPU per request"
    label = ENTRANTS[name].label
    sys.stderr.write(f"{case.name}, round {index + 1}: {label}: {fact} ({took_s:.1f} s)\n")
