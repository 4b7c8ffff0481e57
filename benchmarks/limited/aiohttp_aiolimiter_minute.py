"""The same as `aiohttp_aiolimiter`, its limiters told by the minute, as limits are told."""

import asyncio
from collections.abc import Callable

from benchmarks.limited.aiohttp_aiolimiter import _run
from benchmarks.limited_work import LimitedWork


def run(work: LimitedWork, start: Callable[[], None]) -> int:
    """Ask all prompts, limiters told by the minute."""
    return asyncio.run(_run(work, start, period_s=60.0))
