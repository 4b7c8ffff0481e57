"""openai-python: its asynchronous client, a semaphore and gather.

Its pool may open as many connections as there are requests in flight, and keeps 100 idle ones,
its default: keeping 1,000 cost half as much again (10.0 ms instead of 6.3 ms at 1,000 in flight).
"""

import asyncio
import json
import ssl
from collections.abc import Iterable
from typing import Any

import httpx2
import openai

from benchmarks.work import MODEL, Meter, Work, delay_us, prompt_text, read_input

KEPT_CONNECTIONS = 100


def _client(work: Work) -> openai.AsyncOpenAI:
    context = ssl.create_default_context(cafile=work.ca_file) if work.ca_file else True
    limits = httpx2.Limits(
        max_connections=work.concurrency, max_keepalive_connections=KEPT_CONNECTIONS
    )
    http_client = openai.DefaultAsyncHttpxClient(limits=limits, verify=context, trust_env=False)
    return openai.AsyncOpenAI(
        api_key="x",
        base_url=work.base_url,
        http_client=http_client,
        timeout=None,
        max_retries=0,  # a retry would be work that the others do not do
    )


def _messages(prompt: str) -> Any:
    return [{"role": "user", "content": prompt}]


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls."""
    texts: dict[int, str] = {}

    async def main() -> None:
        semaphore = asyncio.Semaphore(work.concurrency)
        async with _client(work) as client:

            async def one(number: int) -> None:
                async with semaphore:
                    completion = await client.chat.completions.create(
                        model=MODEL,
                        messages=_messages(prompt_text(number)),
                        max_completion_tokens=64,
                    )
                    texts[number] = completion.choices[0].message.content or ""

            async def each(numbers: Iterable[int]) -> None:
                await asyncio.gather(*(one(number) for number in numbers))

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    asyncio.run(main())
    return texts


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams, chunk by chunk."""
    texts: dict[int, str] = {}

    async def main() -> None:
        semaphore = asyncio.Semaphore(work.concurrency)
        async with _client(work) as client:

            async def one(number: int) -> None:
                parts: list[str] = []
                async with semaphore:
                    stream = await client.chat.completions.create(
                        model=MODEL,
                        messages=_messages(prompt_text(number)),
                        max_completion_tokens=64,
                        stream=True,
                        stream_options={"include_usage": True},
                    )
                    async for chunk in stream:
                        if chunk.choices and (text := chunk.choices[0].delta.content):
                            if not parts:
                                meter.first_delays_us.append(delay_us(text))
                            parts.append(text)
                texts[number] = "".join(parts)

            async def each(numbers: Iterable[int]) -> None:
                await asyncio.gather(*(one(number) for number in numbers))

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    asyncio.run(main())
    return texts


def job(work: Work, meter: Meter) -> dict[int, str]:
    """Read prompts from a file and write answers into another, a line each."""

    async def main() -> None:
        meter.start()
        semaphore = asyncio.Semaphore(work.concurrency)
        async with _client(work) as client:
            with open(work.output_file, "w") as target:

                async def one(number: int, prompt: str) -> None:
                    async with semaphore:
                        completion = await client.chat.completions.create(
                            model=MODEL, messages=_messages(prompt), max_completion_tokens=64
                        )
                    record = {
                        "id": number,
                        "text": completion.choices[0].message.content,
                        "usage": completion.usage.model_dump() if completion.usage else None,
                    }
                    target.write(json.dumps(record) + "\n")

                await asyncio.gather(*(one(*each) for each in read_input(work.input_file)))
        meter.stop()

    asyncio.run(main())
    with open(work.output_file) as file:
        return {record["id"]: record["text"] for record in map(json.loads, file)}
