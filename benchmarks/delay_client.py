"""One client process that reads stamped streams: how late is each chunk in its user's hands?

``python -m benchmarks.delay_client DOOR BASE_URL STREAMS CHUNKS SKIPPED CORE`` prints, as JSON, a
list of delays in µs, each from the server's sending to the line after the user's ``for``.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import attrs
import trio

import trillium
from benchmarks.rivals.ours import _requests
from benchmarks.work import MODEL, STAMP_DIGITS
from trillium import aio, sync

STAMPED: Final = 1 + STAMP_DIGITS
"""Characters of an event's text: a space, and the server's clock."""


@attrs.frozen
class Streams:
    """What is asked for."""

    base_url: str
    count: int
    """Streams at once."""
    skipped: int
    """Events of each that do not count: connections are opened meanwhile."""

    def requests(self) -> list[trillium.Request]:
        """Return the requests, one for each stream."""
        return list(_requests(range(self.count)))


@attrs.define
class Stopwatch:
    """The delays of one stream."""

    _skipped: int
    delays_us: list[float] = attrs.field(factory=list)
    _seen: int = 0

    def note(self, text: str) -> None:
        """Take note of a chunk that is in the user's hands now."""
        now = time.monotonic_ns()
        for number in range(len(text) // STAMPED, 0, -1):
            self._seen += 1
            end = len(text) - (number - 1) * STAMPED
            if self._seen > self._skipped:
                self.delays_us.append((now - int(text[end - STAMP_DIGITS : end])) / 1000)


def read_on_trio(streams: Streams) -> list[Stopwatch]:
    """Read them on trio itself."""
    watches = []

    async def read(client: trillium.Client, request: trillium.Request) -> None:
        watch = Stopwatch(streams.skipped)
        watches.append(watch)
        async with client.stream(request) as stream:
            async for chunk in stream:
                watch.note(chunk.text)

    async def main() -> None:
        async with (
            trillium.open_client(
                MODEL, base_url=streams.base_url, key="x", concurrency=streams.count
            ) as client,
            trio.open_nursery() as nursery,
        ):
            for request in streams.requests():
                nursery.start_soon(read, client, request)

    trio.run(main)
    return watches


async def _read_on_a_loop(streams: Streams) -> list[Stopwatch]:
    async with aio.open_client(
        MODEL, base_url=streams.base_url, key="x", concurrency=streams.count
    ) as client:

        async def read(request: trillium.Request) -> Stopwatch:
            watch = Stopwatch(streams.skipped)
            async with client.stream(request) as stream:
                async for chunk in stream:
                    watch.note(chunk.text)
            return watch

        return await asyncio.gather(*(read(request) for request in streams.requests()))


def read_on_asyncio(streams: Streams) -> list[Stopwatch]:
    """Read them on asyncio's own loop."""
    return asyncio.run(_read_on_a_loop(streams))


def read_on_uvloop(streams: Streams) -> list[Stopwatch]:
    """Read them on uvloop."""
    import uvloop  # the one client that needs it

    return uvloop.run(_read_on_a_loop(streams))


def read_in_threads(streams: Streams) -> list[Stopwatch]:
    """Read them in a thread each."""
    with (
        sync.open_client(
            MODEL, base_url=streams.base_url, key="x", concurrency=streams.count
        ) as client,
        ThreadPoolExecutor(streams.count) as pool,
    ):

        def read(request: trillium.Request) -> Stopwatch:
            watch = Stopwatch(streams.skipped)
            with client.stream(request) as stream:
                for chunk in stream:
                    watch.note(chunk.text)
            return watch

        return list(pool.map(read, streams.requests()))


READERS: Final[dict[str, Callable[[Streams], list[Stopwatch]]]] = {
    "embedded_trio": read_on_trio,
    "embedded_asyncio": read_on_asyncio,
    "embedded_uvloop": read_on_uvloop,
    "embedded_sync": read_in_threads,
}


def main() -> None:
    """Read what the arguments say, and print the delays."""
    door, base_url, count, chunks, skipped, core = sys.argv[1:]
    if core:
        os.sched_setaffinity(0, {int(core)})
    watches = READERS[door](Streams(base_url, int(count), int(skipped)))
    due = int(chunks) - int(skipped)
    assert all(len(watch.delays_us) == due for watch in watches), "chunks are missing"
    json.dump([delay for watch in watches for delay in watch.delays_us], sys.stdout)


if __name__ == "__main__":
    main()
