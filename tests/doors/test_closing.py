"""A client that is closed by hand while something is under way: the same at every door."""

from __future__ import annotations

import asyncio
import threading

import pytest
import trio

import trillium
from trillium import aio, sync
from trillium.simulator import Scripted

SLOW = Scripted(text="late", latency_s=60)
WHAT = ["complete", "stream", "batch"]


async def use(client: trillium.Client | aio.Client, what: str) -> None:
    """Do something that takes long."""
    if what == "complete":
        await client.complete("?")
    elif what == "stream":
        async with client.stream("?"):
            pass
    else:
        async with client.batch(["?"]) as batch:
            await anext(aiter(batch))


def use_plainly(client: sync.Client, what: str) -> None:
    if what == "complete":
        client.complete("?")
    elif what == "stream":
        with client.stream("?"):
            pass
    else:
        with client.batch(["?"]) as batch:
            next(batch)


@pytest.mark.parametrize("what", WHAT)
async def test_on_trio_what_is_in_flight_is_told(what, trio_simulated_provider) -> None:
    provider = trio_simulated_provider
    arrived = trio.Event()

    def script(_: object) -> Scripted:
        arrived.set()
        return SLOW

    provider.script(script)
    client = trillium.open_client("any", base_url=provider.base_url, key=provider.key)
    await client.open()

    async def ask() -> None:
        with pytest.raises(trillium.ClientClosedError):
            await use(client, what)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await arrived.wait()
        await client.aclose()
    with pytest.raises(trillium.ClientClosedError, match="make another one"):
        await use(client, what)


@pytest.mark.parametrize("what", WHAT)
def test_on_asyncio_what_is_in_flight_is_told_and_what_comes_late_too(
    run, where, arrivals, what
) -> None:
    arrivals.answer(SLOW)

    async def main() -> None:
        client = aio.open_client(**where)
        await client.open()
        early = asyncio.create_task(use(client, what))
        await asyncio.to_thread(arrivals.wait)
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)  # it has begun to close
        late = asyncio.create_task(use(client, what))
        await closing
        with pytest.raises(trillium.ClientClosedError, match="while this was under way"):
            await early
        # The thread may have ended by then, if it was quick.
        with pytest.raises(trillium.ClientClosedError, match=r"while this was|make another"):
            await late
        with pytest.raises(trillium.ClientClosedError, match="make another one"):
            await use(client, what)

    run(main())


@pytest.mark.parametrize("what", WHAT)
def test_in_plain_programs_other_threads_are_told(where, arrivals, what) -> None:
    arrivals.answer(SLOW)
    client = sync.open_client(**where)
    client.open()
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(trillium.ClientClosedError) as caught:
            use_plainly(client, what)
        told.append(str(caught.value))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    arrivals.wait(3)
    client.close()
    for thread in threads:
        thread.join(10)
    assert told == ["the client was closed while this was under way"] * 3
    ask()
    assert "make another one" in told[-1]


@pytest.mark.parametrize("again", range(5))
def test_what_is_asked_while_it_closes_is_refused_and_hangs_nobody(where, again) -> None:
    """From many threads at once: between the last task's end and the thread's, none can start."""
    client = sync.open_client(**where)
    client.open()
    ends: list[str] = []
    go = threading.Event()

    def ask() -> None:
        try:
            while True:
                client.complete("?")
                go.set()
        except trillium.ClientClosedError:
            ends.append("told")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert go.wait(10)
    client.close()
    for thread in threads:
        thread.join(10)
    assert ends == ["told"] * 4


def test_a_post_that_is_interrupted_silences_no_later_one(where, monkeypatch) -> None:
    """As Ctrl-C does, between the note that the thread was told and the telling."""
    with sync.open_client(**where) as client:
        thread = client._thread
        assert thread is not None
        with monkeypatch.context() as patched:

            def wake() -> None:
                raise KeyboardInterrupt

            patched.setattr(thread, "wake", wake)
            with pytest.raises(KeyboardInterrupt):
                client.limits()
        assert client.complete("?").success
