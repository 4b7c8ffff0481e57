"""async-batch-llm: ``process_stream``, told no limits, for an OpenAI-compatible server.

The library opens its connections anew for each call of that function, so that they are part of
what is measured here; its imports and first-use costs are in the warm-up.
It has no streaming of tokens.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

import async_batch_llm
import httpx2

from benchmarks.work import MODEL, Meter, Work, prompt_text, read_input


def _strategy(work: Work) -> Any:
    kwargs: dict[str, Any] = {"timeout": None, "max_retries": 0}
    if work.ca_file:
        kwargs["http_client"] = httpx2.AsyncClient(
            verify=work.ca_file,
            limits=httpx2.Limits(
                max_connections=work.concurrency, max_keepalive_connections=work.concurrency
            ),
        )
    else:
        kwargs["max_connections"] = work.concurrency
    return async_batch_llm.llm(
        f"openai-compatible:{MODEL}",
        base_url=work.base_url,
        api_key="x",
        generation_config={"max_completion_tokens": 64},
        **kwargs,
    )


async def _texts(
    work: Work, prompts: Iterable[tuple[str, str]], **kwargs: Any
) -> AsyncIterator[tuple[int, str]]:
    results = async_batch_llm.process_stream(
        _strategy(work), list(prompts), concurrency=work.concurrency, **kwargs
    )
    async for result in results:
        if not result.success:
            raise RuntimeError(f"{result.item_id}: {result.error}")
        yield int(result.item_id), str(result.output)


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls."""
    logging.disable(logging.WARNING)
    texts: dict[int, str] = {}

    async def each(numbers: Iterable[int]) -> None:
        prompts = ((str(number), prompt_text(number)) for number in numbers)
        texts.update({number: text async for number, text in _texts(work, prompts)})

    async def main() -> None:
        await each(work.warmup_numbers())
        texts.clear()
        meter.start()
        await each(work.numbers())
        meter.stop()

    asyncio.run(main())
    return texts


def job(work: Work, meter: Meter) -> dict[int, str]:
    """Read prompts from a file; the library's own artifact store writes the answers."""
    logging.disable(logging.WARNING)

    async def main() -> None:
        meter.start()
        identity = async_batch_llm.ArtifactIdentity(provider="bench", model=MODEL)
        store = async_batch_llm.JsonlArtifactStore(work.output_file, identity=identity)
        prompts = ((str(number), prompt) for number, prompt in read_input(work.input_file))
        async for _ in _texts(work, prompts, artifact_store=store):
            pass
        meter.stop()

    asyncio.run(main())
    with open(work.output_file) as file:
        return {
            int(record["item_id"]): record["result"]["output"]
            for record in map(json.loads, file)
            if record["record_type"] == "item"
        }
