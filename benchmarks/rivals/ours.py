"""trillium: a batch for plain calls, ``stream`` for streams, the command for whole jobs."""

import importlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import trio

import trillium
from benchmarks.work import MODEL, Meter, Work, delay_us, prompt_text

MAX_TOKENS = 64
KEY_VARIABLE = "BENCH_API_KEY"
PRICES = """
provider = "{host}"
source = "the benchmark"
currency = "USD"
usd_per_unit = 1

[models."{model}"]
input = 0.4
output = 1.6
cached = 0.1
"""


def _requests(numbers: Iterable[int]) -> Iterator[trillium.Request]:
    for number in numbers:
        yield trillium.Request(prompt_text(number), id=number, max_tokens=MAX_TOKENS)


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls as one batch, which gives outcomes as they are completed."""
    texts: dict[int, str] = {}

    async def main() -> None:
        async with trillium.open_client(MODEL, base_url=work.base_url, key="x") as client:

            async def each(numbers: Iterable[int]) -> None:
                requests = _requests(numbers)
                async with client.batch(requests, concurrency=work.concurrency) as batch:
                    async for outcome in batch:
                        if isinstance(outcome, trillium.Failure):
                            raise outcome.error
                        assert isinstance(outcome.id, int)
                        texts[outcome.id] = outcome.text

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    trio.run(main)
    return texts


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams, a chunk for each read of the socket."""
    texts: dict[int, str] = {}

    async def main() -> None:
        limiter = trio.CapacityLimiter(work.concurrency)
        async with trillium.open_client(
            MODEL, base_url=work.base_url, key="x", concurrency=work.concurrency
        ) as client:

            async def one(number: int, request: trillium.Request) -> None:
                parts: list[str] = []
                async with limiter, client.stream(request) as stream:
                    async for chunk in stream:
                        if chunk.text:
                            if not parts:
                                meter.first_delays_us.append(delay_us(chunk.text))
                            parts.append(chunk.text)
                texts[number] = "".join(parts)

            async def each(numbers: Iterable[int]) -> None:
                async with trio.open_nursery() as nursery:
                    for number, request in zip(numbers, _requests(numbers), strict=True):
                        nursery.start_soon(one, number, request)

            await each(work.warmup_numbers())
            texts.clear()
            meter.start()
            await each(work.numbers())
            meter.stop()

    trio.run(main)
    return texts


def job(work: Work, meter: Meter) -> dict[int, str]:
    """A whole job as the command does it, in this process, every answer priced."""
    from trillium.cli import main

    # What `main` imports; rivals are imported before they start, too.
    importlib.import_module("trillium.cli.batch")

    prices = Path(work.output_file).with_name("prices.toml")
    prices.write_text(PRICES.format(host=urlsplit(work.base_url).netloc, model=MODEL))
    os.environ[KEY_VARIABLE] = "x"
    sys.argv = ["trillium", "batch", work.input_file, "--output", work.output_file]
    sys.argv += ["--base-url", work.base_url, "--model", MODEL, "--api-key-env", KEY_VARIABLE]
    sys.argv += ["--concurrency", str(work.concurrency), "--max-tokens", str(MAX_TOKENS)]
    sys.argv += ["--no-progress", "--prices", str(prices)]
    meter.start()
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"the command ended with status {end.code}") from None
    meter.stop()
    with open(work.output_file, "rb") as file:
        records = [json.loads(line) for line in file]
    if not all(record.get("cost_usd") for record in records):
        raise RuntimeError("an answer has no price")
    return {int(record["id"]): record["text"] for record in records}
