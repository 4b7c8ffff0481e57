"""`trillium.aio`: on asyncio and on uvloop, against a provider in another thread."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
import trio

import trillium
from trillium import aio
from trillium._bridge.loop import LoopHost
from trillium._transport.pool import Pool
from trillium._transport.pool import _Connection as Connection
from trillium.pytest_plugin import ThreadedProvider
from trillium.simulator import FaultKind, Scripted, SimulatorSettings

ENDLESS = Scripted(text="word " * 50_000)
SLOW = Scripted(text="late", latency_s=60)
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    return SimulatorSettings(tokens_per_second=None)


def test_a_call_is_answered(run, where, simulated_provider):
    async def main():
        simulated_provider.script(["Because of the air."])
        async with aio.open_client(**where) as client:
            completion = await client.complete("Why is the sky blue?")
            assert type(completion) is trillium.Completion
            assert completion.text == "Because of the air."

    run(main())


def test_an_error_arrives_as_it_is(run, where):
    async def main():
        where["key"] = "wrong"
        async with aio.open_client(**where) as client:
            with pytest.raises(trillium.StatusError) as caught:
                await client.complete("?")
            assert caught.value.kind is trillium.ErrorKind.AUTHENTICATION
            with pytest.raises(trillium.StatusError):
                async with client.stream("?"):
                    raise AssertionError("it was entered")

    run(main())


@pytest.mark.slow
def test_an_attempt_that_takes_too_long_is_made_again(run, where, simulated_provider):
    quick = trillium.RetryPolicy(base_s=0.001)
    slow = Scripted(latency_s=1e6)

    async def main() -> None:
        async with aio.open_client(**where, retry=quick) as client:
            timeouts = trillium.Timeouts(attempt_s=0.1)
            simulated_provider.script([slow, None])
            completion = await client.complete("again", timeouts=timeouts)
            assert (completion.attempts, completion.abandoned) == (2, 1)
            simulated_provider.script([slow])
            with pytest.raises(trillium.DeadlineError):
                await client.complete("late", timeouts=trillium.Timeouts(request_s=0.1))
            assert (await client.complete("after")).attempts == 1

    run(main())
    assert simulated_provider.ledger.counts() == {"answered": 2, "abandoned": 2}


def test_wrong_use_is_told_before_anything_is_sent(run, where):
    async def main():
        with pytest.raises(trillium.InvalidRequestError, match="unknown provider"):
            aio.open_client("nobody/nothing")
        client = aio.open_client(**where)
        with pytest.raises(trillium.ClientClosedError, match="not open"):
            await client.complete("?")
        with pytest.raises(trillium.ClientClosedError, match="not open"):
            client.batch(["?"])
        async with client:
            with pytest.raises(trillium.UsageError, match="open"):
                await client.open()
            with pytest.raises(trillium.InvalidRequestError):
                async with client.batch(["?"], concurrency=0):
                    pass
            stream = client.stream("?")
            with pytest.raises(trillium.UsageError, match="block"):
                await anext(stream)
            async with stream:
                with pytest.raises(trillium.UsageError, match="once"):
                    await stream.__aenter__()
        await client.aclose()
        with pytest.raises(trillium.ClientClosedError, match="closed"):
            await client.complete("?")

    run(main())


def test_on_trio_it_says_where_to_go():
    async def main():
        with pytest.raises(trillium.UsageError, match="on trio, use trillium"):
            async with aio.open_client("sim/x"):
                pass

    trio.run(main)


def test_a_client_stays_in_its_loop(where):
    client = aio.open_client(**where)

    async def other():
        with pytest.raises(trillium.UsageError, match="event loop"):
            await client.complete("?")

    async def main():
        async with client:
            await asyncio.to_thread(asyncio.run, other())

    asyncio.run(main())


def test_a_stream_gives_chunks_and_then_the_completion(run, where):
    async def main():
        async with aio.open_client(**where) as client, client.stream("poem") as stream:
            text = "".join([chunk.text async for chunk in stream])
            assert text == stream.completion.text
            assert text == (await stream.read()).text

    run(main())


def test_a_stream_that_breaks_raises_after_its_chunks(run, where, simulated_provider):
    async def main():
        simulated_provider.script([FaultKind.CUT])
        async with aio.open_client(**where) as client, client.stream("poem") as stream:
            texts = []
            with pytest.raises(trillium.RemoteProtocolError) as caught:
                async for chunk in stream:
                    texts.append(chunk.text)  # noqa: PERF401  # what came before the error counts
            assert caught.value.partial_text == "".join(texts)
            assert [chunk async for chunk in stream] == []

    run(main())


def numbered(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"prompt {number}"


async def numbered_later(count: int) -> AsyncIterator[str]:
    for prompt in numbered(count):
        await asyncio.sleep(0)
        yield prompt


@pytest.mark.parametrize(
    "make", [lambda n: list(numbered(n)), numbered, numbered_later], ids=["list", "iter", "async"]
)
def test_a_batch_takes_any_source_and_gives_one_outcome_each(run, where, make):
    async def main():
        async with aio.open_client(**where) as client:
            async with client.batch(make(150), concurrency=7, ordered=True) as batch:
                outcomes = [outcome async for outcome in batch]
            assert [outcome.index for outcome in outcomes] == list(range(150))
            assert batch.statistics().completed == 150
            assert batch.stopped is None
            assert len(await client.complete_all(make(40))) == 40

    run(main())


def test_several_models_are_asked_at_once(run, where):
    async def main():
        async with aio.open_client(**where) as client:
            found = await client.complete_each(numbered(3), ["a", "b"])
            assert {model: len(outcomes) for model, outcomes in found.items()} == {"a": 3, "b": 3}
            assert (await client.verify()).success

    run(main())


def test_an_async_source_is_read_by_its_loop_and_closed_in_it(run, where):
    seen = []

    async def source() -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(0)
                yield VARIABLE.get()
        finally:
            await asyncio.sleep(0)
            seen.append(asyncio.get_running_loop() is loop)

    async def main():
        VARIABLE.set("set")
        async with aio.open_client(**where) as client:
            async with client.batch(source(), concurrency=3) as batch:
                outcome = await anext(batch)
                assert isinstance(outcome, trillium.Completion)
                assert '"set"' in outcome.text
            assert seen == [True]
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


@pytest.mark.parametrize("kind", ["iter", "async"])
def test_what_a_source_raises_comes_after_what_is_in_flight(run, where, kind):
    error = LookupError("no more")

    def source() -> Iterator[str]:
        yield "one"
        yield "two"
        raise error

    async def later() -> AsyncIterator[str]:
        for prompt in source():
            yield prompt

    async def main():
        async with aio.open_client(**where) as client:
            outcomes = []
            async with client.batch(source() if kind == "iter" else later()) as batch:
                with pytest.raises(LookupError) as caught:
                    async for outcome in batch:
                        outcomes.append(outcome)  # noqa: PERF401  # as above
            assert caught.value is error
            assert len(outcomes) == 2

    run(main())


def test_a_batch_can_be_drained_and_left_early(run, where):
    async def main():
        async with aio.open_client(**where) as client:
            async with client.batch(numbered(10_000), concurrency=5) as batch:
                await anext(batch)
                batch.drain()
                assert batch.stopped is not None
                outcomes = [outcome async for outcome in batch]
                last = outcomes[-1]
                assert isinstance(last, trillium.Failure)
                assert last.error.kind is trillium.ErrorKind.NOT_SENT
            async with client.batch(numbered(10_000)) as batch:
                await anext(batch)
            assert (await client.complete("still there")).success

    run(main())


def test_nothing_is_read_far_ahead_of_the_consumer(run, where):
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "?"

    async def main():
        async with aio.open_client(**where) as client:
            async with client.batch(source(), concurrency=4) as batch:
                for _ in range(200):
                    await anext(batch)
                # the window, what crosses either way, and what was taken
                assert read <= 200 + 16 + 2 * 33

    run(main())


def connections() -> list[Connection]:
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is Connection]


def open_connections() -> list[Connection]:
    """Those on which an answer may still come; a closed one may stand in a frame a while longer."""
    return [found for found in connections() if found.stream.is_quiet()]


def abandoned(provider: ThreadedProvider) -> int:
    provider.wait_settled()
    return provider.ledger.count("abandoned")


@pytest.mark.parametrize("how", ["cancel", "timeout", "anyio"])
def test_a_cancelled_call_has_closed_its_connection(run, where, simulated_provider, arrivals, how):
    arrivals.answer(SLOW)

    async def main():
        async with aio.open_client(**where) as client:
            if how == "cancel":
                task = asyncio.create_task(client.complete("?"))
                await asyncio.to_thread(arrivals.wait)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            elif how == "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await client.complete("?")
            else:
                with anyio.move_on_after(0.1) as scope:
                    await client.complete("?")
                assert scope.cancelled_caught
            assert open_connections() == []
            assert await asyncio.to_thread(abandoned, simulated_provider) == 1

    run(main())


def test_leaving_a_stream_early_closes_its_connection(run, where, simulated_provider):
    simulated_provider.script(lambda _: ENDLESS)

    async def main():
        async with aio.open_client(**where) as client:
            async with client.stream("?") as stream:
                await anext(stream)
            assert await asyncio.to_thread(abandoned, simulated_provider) == 1

    run(main())


def test_a_cancelled_wait_for_a_chunk_closes_the_connection(run, where, simulated_provider):
    simulated_provider.script([FaultKind.STALL])

    async def main():
        async with aio.open_client(**where) as client, client.stream("poem") as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    async for _ in stream:
                        pass
            simulated_provider.wait_settled()

    run(main())


def test_a_slow_reader_holds_the_stream_back(run, where, simulated_provider):
    """A pipe's room of chunks, and then the socket: the provider cannot send it all."""
    simulated_provider.script(lambda _: Scripted(text="word " * 400_000))

    async def main():
        async with aio.open_client(**where) as client, client.stream("?") as stream:
            await anext(stream)
            await asyncio.sleep(0.1)
            assert simulated_provider.ledger.in_flight == 1

    run(main())


def test_context_variables_flow_with_the_call(run, where):
    seen = []

    class Watching(trillium.Observer):
        def attempt_started(self, *, index, attempt):
            seen.append(VARIABLE.get())

    async def ask(client, value):
        VARIABLE.set(value)
        await client.complete("?")

    async def main():
        async with aio.open_client(**where, observer=Watching()) as client:
            await asyncio.gather(*(ask(client, f"value {n}") for n in range(5)))
            assert sorted(seen) == [f"value {n}" for n in range(5)]
            assert VARIABLE.get() == "unset"

    run(main())


def test_closing_the_client_ends_what_is_in_flight(run, where, arrivals):
    arrivals.answer(SLOW)

    async def main():
        async with aio.open_client(**where) as client:
            calls = [asyncio.create_task(client.complete(f"{n}")) for n in range(5)]
            await asyncio.to_thread(arrivals.wait, 5)
        for call in calls:
            with pytest.raises(trillium.ClientClosedError):
                await call

    run(main())


def test_the_loop_may_end_with_work_in_flight(run, where, simulated_provider, arrivals):
    arrivals.answer(SLOW)

    tasks = []

    async def user(started: asyncio.Event):
        async with aio.open_client(**where) as client:
            started.set()
            await client.complete("?")

    async def main():
        started = asyncio.Event()
        tasks.append(asyncio.create_task(user(started)))
        await started.wait()
        await asyncio.to_thread(arrivals.wait)

    run(main())
    assert tasks[0].cancelled()
    assert abandoned(simulated_provider) == 1


def test_a_loop_that_is_closed_without_asking_leaves_nothing_behind(where, simulated_provider):
    """Neither the client nor its call is told: the thread finds nobody there, and ends."""
    loop = asyncio.new_event_loop()
    client = aio.open_client(**where)
    loop.run_until_complete(client.open())
    simulated_provider.script(lambda _: Scripted(text="late", latency_s=0.05))
    call = client.complete("?")
    task = loop.create_task(call)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    thread = client._thread
    assert thread is not None
    thread._thread.join(5)
    assert thread.has_ended
    assert connections() == []
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # private; the loop was closed on purpose
    call.close()


@pytest.mark.slow
def test_a_thousand_calls_cancelled_at_random_moments_leave_nothing(run, where, simulated_provider):
    simulated_provider.script(
        lambda arrival: Scripted(text="a b c", latency_s=arrival.number % 7 / 1000)
    )
    dice = random.Random(1)
    endings = []

    async def use(client, number):
        if number % 5 == 0:  # a batch that is left at its very start among them
            await client.complete_all([f"{number}", f"{number} again"])
        elif number % 2:
            async with client.stream(f"{number}") as stream:
                await stream.read()
        else:
            await client.complete(f"{number}")

    async def ask(client, number):
        # Some have the time they need, however busy the machine is, and some have none.
        patience_s = {0: None, 1: 0.0}.get(number % 50, dice.random() * 0.15)
        ending = "answered"
        if number % 3 == 0:
            with anyio.move_on_after(patience_s) as scope:
                await use(client, number)
            ending = "cancelled" if scope.cancelled_caught else "answered"
        elif number % 3 == 1:
            try:
                async with asyncio.timeout(patience_s):
                    await use(client, number)
            except TimeoutError:
                ending = "cancelled"
        else:
            task = asyncio.create_task(use(client, number))
            if patience_s is not None:
                asyncio.get_running_loop().call_later(patience_s, task.cancel)
            await asyncio.wait({task})
            ending = "cancelled" if task.cancelled() else "answered"
            if not task.cancelled():
                task.result()
        endings.append((number % 3, ending))

    async def main():
        async with aio.open_client(**where, concurrency=50) as client:
            for start in range(0, 1000, 100):
                await asyncio.gather(*(ask(client, start + n) for n in range(100)))
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert client._thread is not None
            assert not client._thread._pending
            station = client._native._routes.stations[0]
            assert station.limiter.borrowed_tokens == 0
            assert isinstance(station.transport, Pool)
            assert len(connections()) == station.transport.idle_connections
            assert (await client.complete("still there")).success

    run(main())
    assert len(endings) == 1000
    assert set(endings) == {(way, end) for way in range(3) for end in ("answered", "cancelled")}
    simulated_provider.wait_settled()


def test_what_a_loop_did_not_hear_as_one_raised_it_hears_next() -> None:
    heard = []

    def interrupted() -> None:
        heard.append("interrupted")
        raise KeyboardInterrupt

    async def post() -> None:
        host = LoopHost(lambda: None)
        for callback in (interrupted, lambda: heard.append("the rest")):
            host._outbox.append(callback)  # as what is held: one waking for all
        host._wake()
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(post())
    loop.call_soon(loop.stop)
    loop.run_forever()
    for task in asyncio.all_tasks(loop):
        loop.run_until_complete(task)
    loop.close()
    assert heard == ["interrupted", "the rest"]


def test_a_loop_that_cancels_without_end_lets_the_other_thread_go_on() -> None:
    """As anyio does it: in each turn of the loop, until the task has ended."""
    turns = 0
    settled = False

    async def main() -> None:
        nonlocal turns
        host = LoopHost(lambda: None)
        loop = asyncio.get_running_loop()

        def settle() -> None:
            nonlocal settled
            for _ in range(300):
                time.sleep(0)  # as a call of the kernel does, it gives the interpreter away
            settled = True
            host.post(lambda: None)

        def cancel_on() -> None:
            nonlocal turns
            turns += 1
            if not task.done():
                task.cancel()
                loop.call_soon(cancel_on)

        thread = threading.Thread(target=settle)
        task = asyncio.create_task(host.wait_regardless(loop.create_future, lambda: settled))
        await asyncio.sleep(0)
        thread.start()
        cancel_on()
        await asyncio.wait({task})
        assert task.cancelled()
        thread.join()

    asyncio.run(main())
    assert turns < 10_000  # 1,500; or 50,000, where it waits 5 ms each time
