"""What a client is asked to do, the wire's texts, and the meter that it starts and stops.

Server and clients are built from the same few functions here, so that an answer can be checked
against the number of its prompt.
"""

import gc
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

MODEL = "gpt-4.1-mini"
"""A name that price tables know, so that a client that accounts for money has to do it."""

ID_DIGITS = 8
STAMP_DIGITS = 18
"""Nanoseconds of the monotonic clock, which processes of one machine share."""

ANSWER_TAIL = (
    " The short answer is yes: it has been measured, it was repeated, and the result was the"
    " same each time within the error that the method allows."
)
TOKEN = " token"


def prompt_text(number: int) -> str:
    """Return the prompt with this number; the server finds the number behind the ``#``."""
    return f"#{number:0{ID_DIGITS}d} Is it so? Answer in one sentence, and say how you know."


def answer_text(number: int) -> str:
    """Return what the server answers to `prompt_text`."""
    return f"#{number:0{ID_DIGITS}d}{ANSWER_TAIL}"


def is_stream_text(text: str, number: int, events: int) -> bool:
    """Say whether this is what the server streams for a prompt.

    Args:
        text: What the client put together.
        number: The prompt's number.
        events: Number of events of the stream that carry text.
    """
    head = f"#{number:0{ID_DIGITS}d} "
    return (
        text.startswith(head)
        and text[len(head) : len(head) + STAMP_DIGITS].isdigit()
        and text[len(head) + STAMP_DIGITS :] == TOKEN * (events - 1)
    )


def delay_us(first_text: str) -> float:
    """Return how long ago the server wrote the first event of a stream, in µs.

    Args:
        first_text: The text of that event; it ends in the server's clock.
    """
    stamp = first_text[ID_DIGITS + 2 : ID_DIGITS + 2 + STAMP_DIGITS]
    return (time.monotonic_ns() - int(stamp)) / 1000


def request_json(number: int, *, stream: bool = False) -> dict[str, Any]:
    """Return the body of a request as the OpenAI chat dialect wants it."""
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt_text(number)}],
        "max_completion_tokens": 64,
    }
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def write_input(path: Path, count: int) -> None:
    """Write the JSONL file that whole jobs start from: an id and the messages on each line."""
    with path.open("w") as file:
        for number in range(count):
            messages = [{"role": "user", "content": prompt_text(number)}]
            file.write(json.dumps({"id": str(number), "messages": messages}) + "\n")


@attrs.frozen(kw_only=True)
class Work:
    """What one client process does; made by the harness, read from JSON by the client."""

    rival: str
    """Module in `benchmarks.rivals`."""
    operation: str
    """``calls``, ``streams`` or ``job``."""
    base_url: str
    """Of the server, with ``/v1``."""
    server_pid: int
    concurrency: int
    """Requests (or streams) in flight."""
    count: int
    """Number of requests that are measured."""
    warmup: int
    """Number of requests before that; they also open the connections."""
    events: int = 0
    """Events with text per stream; 0 for plain calls."""
    paced: bool = False
    """The streams' events come one by one."""
    ca_file: str | None = None
    """Certificate to trust; None for plain TCP."""
    core: int | None = None
    """Core to be pinned to."""
    input_file: str = ""
    output_file: str = ""

    def warmup_numbers(self) -> range:
        """Return the numbers of the prompts that are sent before the meter runs."""
        return range(self.count, self.count + self.warmup)

    def numbers(self) -> range:
        """Return the numbers of the prompts that are measured."""
        return range(self.count)


def _busy_s(pid: int) -> float:
    """Return the CPU time of another process so far, in seconds."""
    try:
        # Nanoseconds; stat has ticks of 10 ms.
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[0]) / 1e9
    except OSError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


def _peak_mb() -> float:
    """Return the peak resident memory of this process in MB (10^6 bytes)."""
    try:
        # Not ru_maxrss: that one starts from the parent's memory at the fork.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


@attrs.frozen(kw_only=True)
class Reading:
    """What one client process measured."""

    cpu_us: float
    """CPU time of the client (user and system) per request."""
    wall_s: float
    client_busy: float
    """Share of the wall time that the client computed."""
    server_busy: float
    """The same for the server: near 1 it would be the bottleneck."""
    peak_mb: float
    first_delay_us: float | None = None
    """Median delay from the server's write of a stream's first event to the text in hand."""


@attrs.define
class Meter:
    """Measures CPU and wall time between `start` and `stop`; used once."""

    _work: Work
    first_delays_us: list[float] = attrs.field(factory=list)
    """Filled by clients that stream, one for each stream."""
    _begin: tuple[float, float, float] | None = None
    _end: tuple[float, float, float] | None = None
    _peak_mb: float = 0

    def _now(self) -> tuple[float, float, float]:
        return time.process_time(), time.perf_counter(), _busy_s(self._work.server_pid)

    def start(self) -> None:
        """Begin to measure; what came before was warm-up."""
        gc.collect()
        self.first_delays_us.clear()
        self._begin = self._now()

    def stop(self) -> None:
        """End the measurement; what follows is checking and cleaning up."""
        self._end = self._now()
        self._peak_mb = _peak_mb()  # now: checking needs memory of its own

    def reading(self) -> Reading:
        """Return what was measured, once started and stopped."""
        if self._begin is None or self._end is None:
            raise RuntimeError(f"{self._work.rival} did not start and stop its meter")
        cpu_s, wall_s, server_s = (
            end - begin for begin, end in zip(self._begin, self._end, strict=True)
        )
        delays = sorted(self.first_delays_us)
        return Reading(
            cpu_us=cpu_s / self._work.count * 1e6,
            wall_s=wall_s,
            client_busy=cpu_s / wall_s,
            server_busy=server_s / wall_s,
            peak_mb=self._peak_mb,
            first_delay_us=delays[len(delays) // 2] if delays else None,
        )


def read_input(path: str) -> Iterator[tuple[int, str]]:
    """Yield number and prompt of each line of a file that `write_input` made."""
    with open(path) as file:
        for line in file:
            record = json.loads(line)
            yield int(record["id"]), record["messages"][0]["content"]


def check(work: Work, texts: dict[int, str] | Sequence[str]) -> None:
    """Compare what a client returned with what the server sends for each prompt.

    Raises:
        RuntimeError: An answer is missing, wrong, or of another prompt.
    """
    if len(texts) != work.count:
        raise RuntimeError(f"{work.rival}: {len(texts)} answers to {work.count} prompts")
    for number in work.numbers():
        text = texts[number]
        if not isinstance(text, str):
            good = False  # untyped clients give None for what failed
        elif work.events:
            good = is_stream_text(text, number, work.events)
        else:
            good = text == answer_text(number)
        if not good:
            raise RuntimeError(f"{work.rival}: wrong answer to prompt {number}: {text!r:.200}")
