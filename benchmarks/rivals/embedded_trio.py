"""trillium on trio, without a door: single calls from workers, and streams, to compare with."""

from collections.abc import Iterable, Iterator

import trio

import trillium
from benchmarks.rivals.ours import _requests
from benchmarks.work import MODEL, Meter, Work


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls, one after the other in each of as many workers as are to be in flight."""
    texts: dict[int, str] = {}

    async def main() -> None:
        async with trillium.open_client(
            MODEL, base_url=work.base_url, key="x", concurrency=work.concurrency
        ) as client:

            async def worker(requests: Iterator[trillium.Request]) -> None:
                for request in requests:
                    completion = await client.complete(request)
                    assert isinstance(completion.id, int)
                    texts[completion.id] = completion.text

            async def each(numbers: Iterable[int]) -> None:
                requests = _requests(numbers)
                async with trio.open_nursery() as nursery:
                    for _ in range(work.concurrency):
                        nursery.start_soon(worker, requests)

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    trio.run(main)
    return texts


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams, read chunk by chunk, likewise."""
    texts: dict[int, str] = {}

    async def main() -> None:
        async with trillium.open_client(
            MODEL, base_url=work.base_url, key="x", concurrency=work.concurrency
        ) as client:

            async def worker(requests: Iterator[trillium.Request]) -> None:
                for request in requests:
                    async with client.stream(request) as stream:
                        parts = [chunk.text async for chunk in stream]
                    assert isinstance(request.id, int)
                    texts[request.id] = "".join(parts)

            async def each(numbers: Iterable[int]) -> None:
                requests = _requests(numbers)
                async with trio.open_nursery() as nursery:
                    for _ in range(work.concurrency):
                        nursery.start_soon(worker, requests)

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    trio.run(main)
    return texts
