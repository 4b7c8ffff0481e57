"""trillium in an asyncio program, through `trillium.aio`."""

import asyncio
from collections.abc import Iterable, Iterator

import trillium
from benchmarks.rivals.ours import _requests
from benchmarks.work import MODEL, Meter, Work
from trillium import aio


async def run_calls(work: Work, meter: Meter, texts: dict[int, str]) -> None:
    """Fill ``texts``; on whichever event loop it is run."""
    async with aio.open_client(
        MODEL, base_url=work.base_url, key="x", concurrency=work.concurrency
    ) as client:

        async def worker(requests: Iterator[trillium.Request]) -> None:
            for request in requests:
                completion = await client.complete(request)
                assert isinstance(completion.id, int)
                texts[completion.id] = completion.text

        async def each(numbers: Iterable[int]) -> None:
            requests = _requests(numbers)
            await asyncio.gather(*(worker(requests) for _ in range(work.concurrency)))

        await each(work.warmup_numbers())
        texts.clear()
        meter.start()
        await each(work.numbers())
        meter.stop()


async def run_streams(work: Work, meter: Meter, texts: dict[int, str]) -> None:
    """Fill ``texts`` from streams, read chunk by chunk."""
    async with aio.open_client(
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
            await asyncio.gather(*(worker(requests) for _ in range(work.concurrency)))

        await each(work.warmup_numbers())
        texts.clear()
        meter.start()
        await each(work.numbers())
        meter.stop()


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls on asyncio's own loop."""
    texts: dict[int, str] = {}
    asyncio.run(run_calls(work, meter, texts))
    return texts


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams on asyncio's own loop."""
    texts: dict[int, str] = {}
    asyncio.run(run_streams(work, meter, texts))
    return texts
