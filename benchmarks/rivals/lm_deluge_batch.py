"""lm-deluge: ``process_prompts_async``, told no limits, for an OpenAI-compatible server.

The library opens its connections anew for each call of that function, so that they are part of
what is measured here; its imports and first-use costs are in the warm-up.
Its ``stream`` prints what it receives and opens a session per stream: it is left out there.
"""

import asyncio
import json
import os
from collections.abc import Iterable
from typing import Any

import lm_deluge
from lm_deluge.models import register_model

from benchmarks.work import MODEL, Meter, Work, prompt_text, read_input

UNLIMITED = 1_000_000_000


def _client(work: Work) -> Any:
    os.environ["BENCH_API_KEY"] = "x"
    register_model(
        id="bench",
        name=MODEL,
        api_base=work.base_url,
        api_key_env_var="BENCH_API_KEY",
        api_spec="openai",
        provider="bench",
        input_cost=0.4,
        output_cost=1.6,
    )
    return lm_deluge.LLMClient(
        "bench",
        max_requests_per_minute=UNLIMITED,
        max_tokens_per_minute=UNLIMITED,
        max_concurrent_requests=work.concurrency,
        max_new_tokens=64,
        request_timeout=600,
    )


async def _answers(client: Any, prompts: Iterable[str]) -> list[Any]:
    answers: list[Any] = await client.process_prompts_async(list(prompts), show_progress=False)
    return answers


def calls(work: Work, meter: Meter) -> list[str]:
    """Plain calls."""
    texts: list[str] = []

    async def main() -> None:
        client = _client(work)
        await _answers(client, map(prompt_text, work.warmup_numbers()))
        meter.start()
        answers = await _answers(client, map(prompt_text, work.numbers()))
        texts.extend(answer.completion for answer in answers)
        meter.stop()

    asyncio.run(main())
    return texts


def job(work: Work, meter: Meter) -> dict[int, str]:
    """Read prompts from a file; write what the library returned, once it has returned all."""

    async def main() -> None:
        meter.start()
        prompts = list(read_input(work.input_file))
        answers = await _answers(_client(work), (prompt for _, prompt in prompts))
        with open(work.output_file, "w") as target:
            for (number, _), answer in zip(prompts, answers, strict=True):
                usage = answer.usage.to_dict() if answer.usage else None
                record = {
                    "id": number,
                    "text": answer.completion,
                    "usage": usage,
                    "cost": answer.cost,
                }
                target.write(json.dumps(record) + "\n")
        meter.stop()

    asyncio.run(main())
    with open(work.output_file) as file:
        return {record["id"]: record["text"] for record in map(json.loads, file)}
