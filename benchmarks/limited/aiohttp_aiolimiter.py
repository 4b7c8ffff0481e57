"""What is written by hand today: aiohttp, a semaphore, two limiters, and a loop that retries.

aiolimiter's bucket holds as much as comes in its period: told by the second it is even enough for
a strict provider, told by the minute it begins with a whole minute's worth.
"""

import asyncio
from collections.abc import Callable

import aiohttp
import aiolimiter

from benchmarks.limited_work import MAX_TOKENS, LimitedWork, cost_of, request_json

ATTEMPTS = 6


def run(work: LimitedWork, start: Callable[[], None]) -> int:
    """Ask all prompts, limiters told by the second."""
    return asyncio.run(_run(work, start, period_s=1.0))


async def _run(work: LimitedWork, start: Callable[[], None], *, period_s: float) -> int:
    url = work.base_url + "/chat/completions"
    share = period_s / 60
    requests = aiolimiter.AsyncLimiter(work.requests_per_minute * share, period_s)
    tokens = aiolimiter.AsyncLimiter(work.tokens_per_minute * share, period_s)
    semaphore = asyncio.Semaphore(work.concurrency)
    answered = 0
    prompts = list(work.prompts())
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=work.concurrency),
        headers={"Authorization": "Bearer x"},
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:

        async def one(prompt: str) -> None:
            nonlocal answered
            body = request_json(prompt)
            for attempt in range(ATTEMPTS):
                await requests.acquire()
                await tokens.acquire(cost_of(prompt, MAX_TOKENS))
                async with semaphore, session.post(url, json=body) as response:
                    if response.status == 200:
                        await response.json()
                        answered += 1
                        return
                    asked = response.headers.get("retry-after")
                await asyncio.sleep(float(2**attempt if asked is None else asked))

        start()
        await asyncio.gather(*(one(prompt) for _, prompt in prompts))
    return answered
