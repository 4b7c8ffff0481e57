"""The same as `embedded_asyncio`, on uvloop."""

import uvloop

from benchmarks.rivals import embedded_asyncio
from benchmarks.work import Meter, Work


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls on uvloop."""
    texts: dict[int, str] = {}
    uvloop.run(embedded_asyncio.run_calls(work, meter, texts))
    return texts


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams on uvloop."""
    texts: dict[int, str] = {}
    uvloop.run(embedded_asyncio.run_streams(work, meter, texts))
    return texts
