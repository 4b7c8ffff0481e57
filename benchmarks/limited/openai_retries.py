"""openai-python with its own retries, a semaphore and gather; it can be told no limits.

It retries twice unless told otherwise; here as often as trillium does, else it loses most.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import openai

from benchmarks.limited_work import MAX_TOKENS, MODEL, LimitedWork

RETRIES = 5


def run(work: LimitedWork, start: Callable[[], None]) -> int:
    """Ask all prompts; return how many were answered."""
    answered = 0

    async def main() -> None:
        semaphore = asyncio.Semaphore(work.concurrency)
        limits = httpx2.Limits(
            max_connections=work.concurrency, max_keepalive_connections=work.concurrency
        )
        http_client = openai.DefaultAsyncHttpxClient(limits=limits, trust_env=False)
        async with openai.AsyncOpenAI(
            api_key="x",
            base_url=work.base_url,
            http_client=http_client,
            timeout=None,
            max_retries=RETRIES,
        ) as client:

            async def one(prompt: str) -> None:
                nonlocal answered
                messages: Any = [{"role": "user", "content": prompt}]
                async with semaphore:
                    try:
                        await client.chat.completions.create(
                            model=MODEL, messages=messages, max_completion_tokens=MAX_TOKENS
                        )
                    except openai.OpenAIError:
                        return
                answered += 1

            start()
            await asyncio.gather(*(one(prompt) for _, prompt in work.prompts()))

    asyncio.run(main())
    return answered
