"""httpx on trio: a nursery and a capacity limiter; streams through httpx-sse.

The limiter stands before its pool, since that pays for each queued request at each start and
end. Of its idle connections it keeps 20, its default: keeping all of them made it nine times as
slow here (18.5 ms instead of 2.1 ms at 100 in flight), as it then counts idle connections anew
for each idle connection.
"""

import json
import ssl
from collections.abc import Iterable

import httpx
import httpx_sse
import trio

from benchmarks.work import Meter, Work, delay_us, request_json

KEPT_CONNECTIONS = 20


def open_client(work: Work) -> httpx.AsyncClient:
    """Return a client whose pool fits the work."""
    context = ssl.create_default_context(cafile=work.ca_file) if work.ca_file else True
    limits = httpx.Limits(
        max_connections=work.concurrency,
        max_keepalive_connections=KEPT_CONNECTIONS,
        keepalive_expiry=60,
    )
    headers = {"Authorization": "Bearer x"}
    return httpx.AsyncClient(
        verify=context, limits=limits, headers=headers, timeout=None, trust_env=False
    )


async def call(client: httpx.AsyncClient, url: str, number: int) -> str:
    """Return the text of one plain call."""
    response = await client.post(url, json=request_json(number))
    response.raise_for_status()
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


async def stream(client: httpx.AsyncClient, url: str, number: int, meter: Meter) -> str:
    """Return the text of one stream."""
    parts: list[str] = []
    body = request_json(number, stream=True)
    async with httpx_sse.aconnect_sse(client, "POST", url, json=body) as source:
        async for event in source.aiter_sse():
            if event.data == "[DONE]":
                continue
            choices = json.loads(event.data)["choices"]
            if choices and (text := choices[0]["delta"].get("content")):
                if not parts:
                    meter.first_delays_us.append(delay_us(text))
                parts.append(text)
    return "".join(parts)


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
        limiter = trio.CapacityLimiter(work.concurrency)
        async with open_client(work) as client:

            async def one(number: int) -> None:
                async with limiter:
                    if stream_them:
                        texts[number] = await stream(client, url, number, meter)
                    else:
                        texts[number] = await call(client, url, number)

            async def each(numbers: Iterable[int]) -> None:
                async with trio.open_nursery() as nursery:
                    for number in numbers:
                        nursery.start_soon(one, number)

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    trio.run(main)
    return texts
