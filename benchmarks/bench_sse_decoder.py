"""How fast is the decoder of server-sent events, and is it linear in an event's size?

Small events as a provider sends them, and events of up to 20 MB in pieces of 1 KB, against
httpx-sse and a line loop as people write it by hand.
``python -m benchmarks.bench_sse_decoder DECODER MB PIECE`` is one measurement; 0 MB means small
events.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Final

from benchmarks.harness import ROOT, Plan, cores
from benchmarks.report import Answer, Lines, Mark, Table

MB: Final = 1_000_000
SMALL_STREAM_BYTES: Final = 8 * MB
PIECE_BYTES: Final = 1024
READ_BYTES: Final = 65_536
LARGE_MB: Final = (2.5, 5.0, 10.0, 20.0)
QUICK_MB: Final = (1.25, 5.0)
SMALL_EVENT: Final = (
    b'data: {"id":"chatcmpl-BenchBenchBenchBenchBench","object":"chat.completion.chunk",'
    b'"created":1795000000,"model":"gpt-4.1-mini","service_tier":"default",'
    b'"system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" token"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
)

Decode = Callable[[Iterator[bytes]], tuple[int, int]]
"""Takes chunks, returns the number of events and of their bytes of data."""


def decode_ours(chunks: Iterator[bytes]) -> tuple[int, int]:
    """Feed trillium's decoder."""
    from trillium._wire.sse import SSEDecoder

    decoder = SSEDecoder()
    count = size = 0
    for chunk in chunks:
        for event in decoder.feed(chunk):
            count += 1
            size += len(event.raw)
    return count, size


def decode_httpx_sse(chunks: Iterator[bytes]) -> tuple[int, int]:
    """Feed httpx-sse through a response that holds the chunks."""
    import httpx
    import httpx_sse

    headers = {"content-type": "text/event-stream"}
    source = httpx_sse.EventSource(httpx.Response(200, headers=headers, content=chunks))
    count = size = 0
    for event in source.iter_sse():
        count += 1
        size += len(event.data)
    return count, size


def decode_lines(chunks: Iterator[bytes]) -> tuple[int, int]:
    """Cut lines from a buffer and take those that begin with ``data:``, as done by hand."""
    buffer = b""
    count = size = 0
    for chunk in chunks:
        buffer += chunk
        while (end := buffer.find(b"\n")) >= 0:
            line, buffer = buffer[:end], buffer[end + 1 :]
            if line.startswith(b"data: "):
                count += 1
                size += len(line) - 6
    return count, size


DECODERS: Final[dict[str, tuple[str, Decode]]] = {
    "ours": ("trillium", decode_ours),
    "httpx_sse": ("httpx-sse", decode_httpx_sse),
    "lines": ("line loop", decode_lines),
}


def _cut(stream: bytes, piece: int) -> Iterator[bytes]:
    for start in range(0, len(stream), piece):
        yield stream[start : start + piece]


def _measure_here(decode: Decode, mb: float, piece: int) -> float:
    """Return the CPU seconds that one stream takes."""
    if mb:
        stream = b"data: " + b"x" * int(mb * MB) + b"\n\n"
        expected = 1, int(mb * MB)
    else:
        count = SMALL_STREAM_BYTES // len(SMALL_EVENT)
        stream = SMALL_EVENT * count
        expected = count, count * (len(SMALL_EVENT) - 8)
    decode(_cut(SMALL_EVENT * 100, piece))
    began = time.process_time()
    decoded = decode(_cut(stream, piece))
    took = time.process_time() - began
    if decoded != expected:
        raise RuntimeError(f"decoded {decoded}, not {expected}")
    return took


def _measure(decoder: str, mb: float, piece: int, patience_s: float) -> float:
    """Return the CPU seconds of one stream in a fresh, pinned process; nan if it fails."""
    command = [sys.executable, "-m", __name__, decoder, str(mb), str(piece)]
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(
            command, capture_output=True, cwd=ROOT, env=environment, timeout=patience_s, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return math.nan
    return float(json.loads(done.stdout))


def run(plan: Plan) -> Answer:
    """Measure small events, then ever larger ones in pieces of 1 KB."""
    small: dict[str, list[float]] = {name: [] for name in DECODERS}
    in_pieces: dict[str, list[float]] = {name: [] for name in DECODERS}
    large: dict[tuple[str, float], list[float]] = {}
    sizes = QUICK_MB if plan.quick else LARGE_MB
    smaller, larger = sizes[0], 4 * sizes[0]
    rounds = 1 if plan.quick else plan.rounds
    for _ in range(rounds):
        for name in DECODERS:
            small[name].append(_measure(name, 0, READ_BYTES, plan.patience_s))
            in_pieces[name].append(_measure(name, 0, PIECE_BYTES, plan.patience_s))
            for mb in sizes:
                seconds = _measure(name, mb, PIECE_BYTES, plan.patience_s)
                large.setdefault((name, mb), []).append(seconds)
    small_mb = SMALL_STREAM_BYTES / MB

    def speeds(seconds: list[float], mb: float) -> str:
        return f"{mb / median(seconds):,.0f}"

    rows = [
        [
            label,
            speeds(small[name], small_mb),
            speeds(in_pieces[name], small_mb),
            *(speeds(large[name, mb], mb) for mb in sizes),
        ]
        for name, (label, _) in DECODERS.items()
    ]
    growth = median(large["ours", larger]) / median(large["ours", smaller])
    return Answer(
        question="sse_decoder",
        rounds=rounds,
        title="How fast server-sent events are decoded",
        note="MB per second of CPU time, JSON not parsed.\n"
        "A decoder that is linear is equally fast at all sizes of an event.",
        tables=[
            Table(
                title="Decoders",
                columns=[
                    "decoder",
                    "small events, reads of 64 KB",
                    "small events, reads of 1 KB",
                    *(f"one event of {mb:g} MB, reads of 1 KB" for mb in sizes),
                ],
                rows=rows,
            )
        ],
        marks=[
            Mark(
                text=f"Time of a {larger:g} MB event as a multiple of a {smaller:g} MB event's"
                " (linear is 4)",
                limit=4.5,
                measured=growth,
            )
        ],
        lines=[
            Lines(
                file="sse_decoder.png",
                title="One large event in reads of 1 KB",
                x_axis="MB of the event",
                y_axis="CPU ms per MB",
                lines={
                    label: [[mb, median(large[name, mb]) / mb * 1000] for mb in sizes]
                    for name, (label, _) in DECODERS.items()
                },
            )
        ],
        raw={
            "small": small,
            "small in pieces": in_pieces,
            "large": {f"{name} {mb:g}": seconds for (name, mb), seconds in large.items()},
        },
    )


if __name__ == "__main__":
    pinned = cores()
    if pinned is not None:
        os.sched_setaffinity(0, {pinned[0]})
    sys.stdout.write(
        json.dumps(_measure_here(DECODERS[sys.argv[1]][1], float(sys.argv[2]), int(sys.argv[3])))
    )
