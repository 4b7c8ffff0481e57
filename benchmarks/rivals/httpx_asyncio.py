"""httpx on asyncio: a semaphore and gather; streams through httpx-sse."""

import asyncio
from collections.abc import Iterable

from benchmarks.rivals.httpx_trio import call, open_client, stream
from benchmarks.work import Meter, Work


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls."""
    return _run(work, meter, stream_them=False)


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams through httpx-sse."""
    return _run(work, meter, stream_them=True)


def _run(work: Work, meter: Meter, *, stream_them: bool) -> dict[int, str]:
    texts: dict[int, str] = {}
    url = work.base_url + "/chat/completions"

    async def main() -> None:
        semaphore = asyncio.Semaphore(work.concurrency)
        async with open_client(work) as client:

            async def one(number: int) -> None:
                async with semaphore:
                    if stream_them:
                        texts[number] = await stream(client, url, number, meter)
                    else:
                        texts[number] = await call(client, url, number)

            async def each(numbers: Iterable[int]) -> None:
                await asyncio.gather(*(one(number) for number in numbers))

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    asyncio.run(main())
    return texts
