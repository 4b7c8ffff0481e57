"""lm-deluge: ``process_prompts_async``, told requests and tokens a minute; it knows no burst."""

import asyncio
import os
from collections.abc import Callable

import lm_deluge
from lm_deluge.models import register_model

from benchmarks.limited_work import MAX_TOKENS, MODEL, LimitedWork

UNLIMITED = 1_000_000_000


def run(work: LimitedWork, start: Callable[[], None]) -> int:
    """Ask all prompts; return how many were answered."""
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
    client = lm_deluge.LLMClient(
        "bench",
        max_requests_per_minute=round(work.requests_per_minute) if work.told else UNLIMITED,
        max_tokens_per_minute=round(work.tokens_per_minute) if work.told else UNLIMITED,
        max_concurrent_requests=work.concurrency,
        max_new_tokens=MAX_TOKENS,
        max_attempts=6,
        request_timeout=600,
    )
    prompts = [prompt for _, prompt in work.prompts()]

    async def main() -> int:
        start()
        answers = await client.process_prompts_async(prompts, show_progress=False)
        return sum(answer is not None and answer.completion is not None for answer in answers)

    return asyncio.run(main())
