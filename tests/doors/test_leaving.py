"""Streams and batches that others read as they are left, or that two read: nobody hangs."""

from __future__ import annotations

import asyncio
import threading

import pytest

import trillium
from tests.full_disk import files_up_to
from trillium import aio, sync
from trillium.errors import OutputError
from trillium.simulator import FaultKind, Scripted

LATE = Scripted(text="late", latency_s=60)
STALLED = Scripted(text="one two three", fault=FaultKind.STALL)
WHAT = ["stream", "batch"]


def block_of(client, what):
    return client.stream("?") if what == "stream" else client.batch(["?"])


async def read_all(block):
    async for _ in block:
        pass


def has_broken(batch):
    return batch._ask(lambda native: native._record.error is not None)


@pytest.mark.parametrize("what", WHAT)
def test_on_asyncio_a_task_that_reads_is_told_that_the_block_was_left(run, where, arrivals, what):
    arrivals.answer(STALLED if what == "stream" else LATE)

    async def main():
        async with aio.open_client(**where) as client:
            async with block_of(client, what) as block:
                reader = asyncio.create_task(read_all(block))
                await asyncio.to_thread(arrivals.wait)
                while not block._waits:  # noqa: ASYNC110  # nothing is told of it
                    await asyncio.sleep(0)
            with pytest.raises(trillium.UsageError, match="was left"):
                await reader
            with pytest.raises(trillium.UsageError, match="was left"):
                await anext(block)

    run(main())


def test_on_asyncio_one_task_reads_and_another_is_told_so(run, where, arrivals):
    arrivals.answer(LATE)

    async def main():
        async with aio.open_client(**where) as client, client.batch(["?"]) as batch:
            reader = asyncio.create_task(read_all(batch))
            await asyncio.to_thread(arrivals.wait)
            with pytest.raises(trillium.UsageError, match="let one of them read"):
                await anext(batch)
            reader.cancel()
            await asyncio.wait({reader})
            assert reader.cancelled()

    run(main())


@pytest.mark.parametrize("what", WHAT)
def test_in_plain_programs_a_thread_that_reads_is_told_likewise(where, arrivals, what):
    arrivals.answer(STALLED if what == "stream" else LATE)
    told = []

    def read(block):
        with pytest.raises(trillium.UsageError) as caught:
            for _ in block:
                pass
        told.append(str(caught.value))

    with sync.open_client(**where) as client:
        with block_of(client, what) as block:
            reader = threading.Thread(target=read, args=[block])
            reader.start()
            arrivals.wait()
            while not block._waits:
                reader.join(0.01)
            with pytest.raises(trillium.UsageError, match="let one of them read"):
                next(block)
        reader.join(10)
        read(block)
    assert ["was left" in words for words in told] == [True, True]


def test_a_batch_that_came_to_its_end_stays_there(run, where):
    async def main():
        async with aio.open_client(**where) as client:
            async with client.batch(["?"]) as batch:
                await read_all(batch)
            await read_all(batch)

    run(main())
    with sync.open_client(**where) as client:
        with client.batch(["?"]) as batch:
            assert len(list(batch)) == 1
        assert list(batch) == []


def test_a_journal_that_could_not_be_written_is_told_to_who_leaves_early(where, tmp_path):
    """As on trio: whoever breaks off the loop would not hear of it otherwise."""
    requests = [f"{number}" for number in range(100)]

    async def main():
        async with aio.open_client(**where) as client:
            with pytest.raises(OutputError, match="no space left"):
                async with client.batch(requests, journal=tmp_path / "a.jsonl") as batch:
                    await anext(batch)
                    while not has_broken(batch):  # noqa: ASYNC110  # as above
                        await asyncio.sleep(0)

    with files_up_to(9000):
        asyncio.run(main())
        with sync.open_client(**where) as client, pytest.raises(OutputError, match="no space"):
            with client.batch(requests, journal=tmp_path / "b.jsonl") as batch:
                next(batch)
                while not has_broken(batch):
                    pass


def test_a_client_that_is_dropped_unclosed_ends_its_thread_and_its_connections(where):
    """As a notebook's cell does that opens one by hand, and is run again."""

    async def main():
        client = aio.open_client(**where)
        await client.open()
        await client.complete("?")
        thread = client._thread
        assert thread is not None
        with pytest.warns(ResourceWarning, match="nobody had closed"):
            del client
        await asyncio.to_thread(thread._thread.join, 10)
        assert thread.has_ended

    asyncio.run(main())
    client = sync.open_client(**where)
    client.open()
    client.complete("?")
    thread = client._thread
    assert thread is not None
    with pytest.warns(ResourceWarning, match="nobody had closed"):
        del client
    thread._thread.join(10)
    assert thread.has_ended
