"""async-batch-llm: ``process_stream``, told requests and tokens a minute, and the burst if told.

Without a burst it begins with a whole minute's worth. After a refusal it waits 300 s unless told
otherwise; here as long as the provider asks, which is at most a few seconds.
"""

import asyncio
import logging
from collections.abc import Callable

import async_batch_llm

from benchmarks.limited_work import MAX_TOKENS, MODEL, LimitedWork

COOLDOWN_S = 2.0


def run(work: LimitedWork, start: Callable[[], None]) -> int:
    """Ask all prompts; return how many were answered."""
    logging.disable(logging.WARNING)
    estimator = async_batch_llm.CharacterTokenEstimator(4.0, expected_output_tokens=MAX_TOKENS)
    config = async_batch_llm.ProcessorConfig(
        concurrency=work.concurrency,
        max_requests_per_minute=work.requests_per_minute if work.told else None,
        max_tokens_per_minute=round(work.tokens_per_minute) if work.told else None,
        token_estimator=estimator if work.told else None,
        quota_burst_seconds=work.burst_s if work.told else None,
        rate_limit=async_batch_llm.RateLimitConfig(cooldown_seconds=COOLDOWN_S),
    )
    strategy = async_batch_llm.llm(
        f"openai-compatible:{MODEL}",
        base_url=work.base_url,
        api_key="x",
        generation_config={"max_completion_tokens": MAX_TOKENS},
        timeout=None,
        max_retries=0,
    )
    prompts = [(str(number), prompt) for number, prompt in work.prompts()]

    async def main() -> int:
        answered = 0
        start()
        async for result in async_batch_llm.process_stream(strategy, prompts, config=config):
            answered += result.success
        return answered

    return asyncio.run(main())
