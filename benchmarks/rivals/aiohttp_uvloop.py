"""The same as `aiohttp_gather`, on uvloop."""

import uvloop

from benchmarks.rivals import aiohttp_gather
from benchmarks.work import Meter, Work


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls on uvloop."""
    texts: dict[int, str] = {}
    uvloop.run(aiohttp_gather.run_calls(work, meter, texts))
    return texts


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams on uvloop."""
    texts: dict[int, str] = {}
    uvloop.run(aiohttp_gather.run_streams(work, meter, texts))
    return texts


def job(work: Work, meter: Meter) -> dict[int, str]:
    """A whole job on uvloop."""
    uvloop.run(aiohttp_gather.run_job(work, meter))
    return aiohttp_gather.read_output(work)
