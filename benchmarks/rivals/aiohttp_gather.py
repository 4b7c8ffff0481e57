"""How many prompts are answered by hand today: aiohttp, a semaphore, and gather."""

import asyncio
import json
import ssl
from collections.abc import Iterable
from typing import Any

import aiohttp

from benchmarks.work import Meter, Work, delay_us, read_input, request_json


def _session(work: Work) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=work.ca_file) if work.ca_file else True
    connector = aiohttp.TCPConnector(limit=work.concurrency, ssl=context)
    return aiohttp.ClientSession(
        connector=connector,
        headers={"Authorization": "Bearer x"},
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def _call(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Any:
    async with session.post(url, json=body) as response:
        response.raise_for_status()
        return await response.json()


async def run_calls(work: Work, meter: Meter, texts: dict[int, str]) -> None:
    """Fill ``texts``; on whichever event loop it is run."""
    url = work.base_url + "/chat/completions"
    semaphore = asyncio.Semaphore(work.concurrency)
    async with _session(work) as session:

        async def one(number: int) -> None:
            async with semaphore:
                completion = await _call(session, url, request_json(number))
                texts[number] = completion["choices"][0]["message"]["content"]

        async def each(numbers: Iterable[int]) -> None:
            await asyncio.gather(*(one(number) for number in numbers))

        await each(work.warmup_numbers())
        texts.clear()
        meter.start()
        await each(work.numbers())
        meter.stop()


async def run_streams(work: Work, meter: Meter, texts: dict[int, str]) -> None:
    """Fill ``texts`` from streams, read line by line as aiohttp offers it."""
    url = work.base_url + "/chat/completions"
    semaphore = asyncio.Semaphore(work.concurrency)
    async with _session(work) as session:

        async def one(number: int) -> None:
            parts: list[str] = []
            body = request_json(number, stream=True)
            async with semaphore, session.post(url, json=body) as response:
                response.raise_for_status()
                async for line in response.content:
                    if not line.startswith(b"data: "):
                        continue
                    payload = line[6:].strip()
                    if payload == b"[DONE]":
                        continue
                    choices = json.loads(payload)["choices"]
                    if choices and (text := choices[0]["delta"].get("content")):
                        if not parts:
                            meter.first_delays_us.append(delay_us(text))
                        parts.append(text)
            texts[number] = "".join(parts)

        await asyncio.gather(*(one(number) for number in work.warmup_numbers()))
        texts.clear()
        meter.start()
        await asyncio.gather(*(one(number) for number in work.numbers()))
        meter.stop()


async def run_job(work: Work, meter: Meter) -> None:
    """Read prompts from a file and write answers into another, a line each."""
    url = work.base_url + "/chat/completions"
    semaphore = asyncio.Semaphore(work.concurrency)
    meter.start()
    async with _session(work) as session:
        with open(work.output_file, "w") as target:

            async def one(number: int, prompt: str) -> None:
                body = request_json(0)
                body["messages"] = [{"role": "user", "content": prompt}]
                async with semaphore:
                    completion = await _call(session, url, body)
                text = completion["choices"][0]["message"]["content"]
                record = {"id": number, "text": text, "usage": completion["usage"]}
                target.write(json.dumps(record) + "\n")

            await asyncio.gather(*(one(*each) for each in read_input(work.input_file)))
    meter.stop()


def read_output(work: Work) -> dict[int, str]:
    """Return the texts of the file that `run_job` wrote."""
    with open(work.output_file) as file:
        return {record["id"]: record["text"] for record in map(json.loads, file)}


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


def job(work: Work, meter: Meter) -> dict[int, str]:
    """A whole job on asyncio's own loop."""
    asyncio.run(run_job(work, meter))
    return read_output(work)
