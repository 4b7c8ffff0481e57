"""trillium: a batch, told what is told, and nothing else said."""

from collections.abc import Callable

import trio

import trillium
from benchmarks.limited_work import MAX_TOKENS, MODEL, LimitedWork


def run(work: LimitedWork, start: Callable[[], None]) -> int:
    """Ask all prompts; return how many were answered."""
    limits = None
    if work.told:
        limits = trillium.Limits(
            requests_per_minute=work.requests_per_minute,
            tokens_per_minute=work.tokens_per_minute,
            burst_s=work.burst_s,
        )
    # A batch's request may take as long as it must wait for refusals in a row.
    timeouts = trillium.Timeouts(request_s=work.patience_s)
    requests = [
        trillium.Request(prompt, id=number, max_tokens=MAX_TOKENS)
        for number, prompt in work.prompts()
    ]

    async def main() -> int:
        answered = 0
        async with trillium.open_client(
            MODEL, base_url=work.base_url, key="x", limits=limits, timeouts=timeouts
        ) as client:
            start()
            async with client.batch(requests) as batch:
                async for outcome in batch:
                    answered += outcome.success
        return answered

    return trio.run(main)
