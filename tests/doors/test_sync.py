"""`trillium.sync`: in plain programs, in threads, and where a loop runs already."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import trillium
from trillium import sync
from trillium.simulator import FaultKind, Scripted

SLOW = Scripted(text="late", latency_s=60)
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert {thread.name for thread in set(threading.enumerate()) - before} <= {"simulator"}


def test_calls_streams_and_batches(where):
    with sync.open_client(**where) as client:
        assert type(client.complete("?")) is trillium.Completion
        with client.stream("poem") as stream:
            text = "".join(chunk.text for chunk in stream)
            assert text == stream.completion.text == stream.read().text
        with client.batch((f"{n}" for n in range(150)), concurrency=5, ordered=True) as batch:
            assert [outcome.index for outcome in batch] == list(range(150))
        assert batch.statistics().completed == 150
        assert batch.stopped is None
        assert len(client.complete_all(f"{n}" for n in range(40))) == 40
        assert set(client.complete_each(iter(["?"]), ["a", "b"])) == {"a", "b"}
        compared = client.compare(iter(["?"]), iter(["a", "b"])).models
        assert [(model.model, model.succeeded) for model in compared] == [("a", 1), ("b", 1)]
        assert client.verify().success


def test_wrong_use_is_told(where):
    client = sync.open_client(**where)
    with pytest.raises(trillium.ClientClosedError, match="not open"):
        client.complete("?")
    with client:
        with pytest.raises(trillium.UsageError, match="open"):
            client.open()
        with pytest.raises(trillium.InvalidRequestError), client.batch(["?"], concurrency=0):
            pass
        batch = client.batch(["?"])
        with pytest.raises(trillium.UsageError, match="block"):
            next(batch)
        with pytest.raises(trillium.UsageError, match="block"):
            batch.drain()
        with batch, pytest.raises(trillium.UsageError, match="once"):
            batch.__enter__()
    client.close()
    with pytest.raises(trillium.ClientClosedError, match="closed"):
        client.complete("?")


def test_errors_arrive_as_they_are(where, simulated_provider):
    error = LookupError("no more")

    def source():
        yield "one"
        raise error

    with sync.open_client(**where) as client:
        simulated_provider.script([FaultKind.CUT])
        with client.stream("poem") as stream, pytest.raises(trillium.RemoteProtocolError):
            stream.read()
        outcomes: list[bool] = []
        with client.batch(source()) as batch, pytest.raises(LookupError) as caught:
            outcomes.extend(outcome.success for outcome in batch)
        assert caught.value is error


def test_a_source_is_read_and_closed_in_the_thread_that_iterates(where):
    seen = []

    def source():
        try:
            while True:
                seen.append(threading.get_ident())
                yield "?"
        finally:
            seen.append(threading.get_ident())

    with sync.open_client(**where) as client, client.batch(source()) as batch:
        next(batch)
    assert set(seen) == {threading.get_ident()}


def test_several_threads_share_a_client(where, simulated_provider):
    with sync.open_client(**where) as client, ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda n: client.complete(f"{n}").text, range(200)))
    assert len(texts) == 200
    assert simulated_provider.ledger.count("answered") == 200


def test_it_works_where_a_loop_runs_already(where):
    async def cell():
        with sync.open_client(**where) as client:
            return client.complete("?").text

    assert asyncio.run(cell())


def test_opened_by_hand_it_is_closed_by_hand(where):
    client = sync.open_client("sim/demo")
    client.open()
    assert client.complete("?").success
    client.close()


def test_context_variables_flow_with_the_call(where):
    seen = []

    class Watching(trillium.Observer):
        def attempt_started(self, *, index, attempt):
            seen.append(VARIABLE.get())

    def ask():
        VARIABLE.set("set")
        client.complete("?")

    with sync.open_client(**where, observer=Watching()) as client:
        contextvars.copy_context().run(ask)
    assert seen == ["set"]


@pytest.mark.parametrize("what", ["complete", "stream"])
def test_an_observer_that_would_wait_for_its_own_thread_is_told(where, what):
    class Asking(trillium.Observer):
        def outcome(self, outcome, *, request=None):
            with pytest.raises(trillium.UsageError, match="it cannot wait"):
                if what == "complete":
                    client.complete("?")
                else:
                    with client.stream("?"):
                        pass
            told.append(len(client.limits()))

    told: list[int] = []
    with sync.open_client(**where, observer=Asking()) as client:
        client.complete("?")
    assert told, "what is answered at once may be asked"


def interrupt_when_in_flight(arrivals) -> threading.Thread:
    def wait_and_interrupt():
        arrivals.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    return thread


@pytest.mark.parametrize("what", ["complete", "stream", "batch"])
def test_ctrl_c_cancels_what_is_waited_for(where, simulated_provider, arrivals, what):
    arrivals.answer(SLOW)
    with sync.open_client(**where) as client:
        interrupter = interrupt_when_in_flight(arrivals)
        with pytest.raises(KeyboardInterrupt):
            if what == "complete":
                client.complete("?")
            elif what == "stream":
                with client.stream("?"):
                    raise AssertionError("it was entered")
            else:
                with client.batch(["?"]) as batch:
                    next(batch)
        interrupter.join()
        simulated_provider.wait_settled()
        assert simulated_provider.ledger.count("abandoned") == 1


def test_leaving_the_block_ends_what_other_threads_wait_for(where, arrivals):
    arrivals.answer(SLOW)
    with ThreadPoolExecutor(3) as pool:
        with sync.open_client(**where) as client:
            calls = [pool.submit(client.complete, "?") for _ in range(3)]
            arrivals.wait(3)
        for call in calls:
            assert isinstance(call.exception(), trillium.ClientClosedError)
