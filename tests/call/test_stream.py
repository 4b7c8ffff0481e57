"""`_call/stream.py`: what the user of a stream sees."""

from __future__ import annotations

import pytest
import trio

import trillium
from tests.checkpoints import cancel_at_every_checkpoint
from tests.virtual import run_simulated
from trillium import ErrorKind, Timeouts
from trillium._call.stream_reader import StreamReader
from trillium._wire.answer_stream import AnswerStream
from trillium.simulator import (
    FaultKind,
    Scripted,
    ScriptedToolCall,
    SimulatedProvider,
    SimulatorSettings,
    open_simulator,
)

DIALECTS = pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
PACED = SimulatorSettings(latency_s=1.0, tokens_per_second=10)
WAYS = pytest.mark.parametrize("read_on", ["iterated", "poured"])


async def _read_on(stream: trillium.CompletionStream, how: str, into: list[trillium.Chunk]) -> None:
    """Read to the end, as native programs do, or as the doors do."""

    def put(chunk: trillium.Chunk) -> bool:
        into.append(chunk)
        return len(into) % 3 > 0

    if how == "iterated":
        async for chunk in stream:
            put(chunk)
    else:
        while await stream._pour(put):
            assert len(into) % 3 == 0


@DIALECTS
@WAYS
def test_chunks_add_up_to_the_completion(dialect: str, read_on: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        chunks: list[trillium.Chunk] = []
        async with client.stream("Why?") as stream:
            assert trio.current_time() == pytest.approx(1.0)
            await _read_on(stream, read_on, chunks)
        completion = stream.completion
        texts = [chunk.text for chunk in chunks]
        assert "".join(texts) == completion.text
        assert len(texts) > 20
        assert completion.first_token_s == pytest.approx(1.0)
        assert completion.latency_s == pytest.approx(1.0 + 31 / 10)
        assert completion.usage is not None
        assert completion.usage.output_tokens == 32

    run_simulated(main, settings=PACED, dialect=dialect)


@DIALECTS
def test_tool_calls_and_reasoning_are_streamed(dialect: str) -> None:
    line = Scripted(
        reasoning="let me see",
        tool_calls=(ScriptedToolCall("look_up", {"word": "sky"}), ScriptedToolCall("stop")),
    )

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([line])
        arguments = ["", ""]
        reasoning = ""
        async with client.stream(
            trillium.Request("Why?", tools=[trillium.Tool(name="look_up")])
        ) as stream:
            async for chunk in stream:
                reasoning += chunk.reasoning
                for delta in chunk.tool_calls:
                    arguments[delta.index] += delta.arguments
        completion = stream.completion
        assert reasoning == completion.reasoning == "let me see"
        assert [call.name for call in completion.tool_calls] == ["look_up", "stop"]
        assert [call.arguments or "{}" for call in completion.tool_calls] == [
            text or "{}" for text in arguments
        ]
        assert completion.finish_reason is trillium.FinishReason.TOOL_CALLS

    run_simulated(main, settings=PACED, dialect=dialect)


@DIALECTS
@WAYS
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (FaultKind.CUT, ErrorKind.TRUNCATED),
        (FaultKind.STREAM_ERROR, ErrorKind.OVERLOADED),
        (FaultKind.NO_END, ErrorKind.TRUNCATED),
        (FaultKind.STALL, ErrorKind.STALL_TIMEOUT),
    ],
)
def test_what_breaks_after_the_first_chunk_is_raised_with_the_partial_text(
    dialect: str, read_on: str, fault: FaultKind, kind: ErrorKind
) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([fault])
        chunks: list[trillium.Chunk] = []
        with pytest.raises(trillium.RequestError) as caught:
            async with client.stream("Why?", timeouts=Timeouts(stall_s=30)) as stream:
                await _read_on(stream, read_on, chunks)
        error = caught.value
        text = "".join(chunk.text for chunk in chunks)
        assert error.kind in (kind, ErrorKind.SERVER_ERROR)
        assert text
        assert error.partial_text == text
        assert (error.attempts, error.abandoned) == (1, 1)
        with pytest.raises(trillium.UsageError):
            _ = stream.completion
        assert provider.ledger.received == 1
        assert (await client.complete("still there?")).success

    run_simulated(main, settings=PACED, dialect=dialect)


def test_a_whole_answer_in_json_where_a_stream_was_asked_is_taken() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([FaultKind.JSON_FOR_STREAM])
        async with client.stream("Why?") as stream:
            chunks = [chunk async for chunk in stream]
        assert [chunk.text for chunk in chunks] == [stream.completion.text]
        assert stream.completion.attempts == 1

    run_simulated(main)


def test_an_error_in_json_where_a_stream_was_asked_is_an_error() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(
            [Scripted(body={"error": {"message": "no", "code": "context_length_exceeded"}})]
        )
        with pytest.raises(trillium.StatusError):
            async with client.stream("Why?"):
                pass

    run_simulated(main)


def test_leaving_early_closes_the_connection_and_gives_the_turn_back() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.stream("Why?") as stream:
            async for _ in stream:
                break
        await trio.testing.wait_all_tasks_blocked()
        assert provider.ledger.count("abandoned") == 1
        assert (await client.complete("still there?")).success

    run_simulated(main, settings=PACED, concurrency=1)


def test_a_connection_is_used_again_after_a_stream() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        for _ in range(3):
            async with client.stream("Why?") as stream:
                await stream.read()
        (station,) = client._routes.stations
        assert station.transport.open_connections == 1  # type: ignore[attr-defined]  # a Pool

    run_simulated(main, settings=PACED)


def test_a_slow_reader_is_no_stall() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.stream("Why?", timeouts=Timeouts(request_s=None, stall_s=2)) as stream:
            async for _ in stream:
                await trio.sleep(3)
        assert stream.completion.text

    run_simulated(main, settings=PACED)


def test_the_requests_deadline_ends_a_stream() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trillium.DeadlineError) as caught:
            async with client.stream("Why?", timeouts=Timeouts(request_s=2)) as stream:
                await stream.read()
        assert caught.value.kind == ErrorKind.REQUEST_TIMEOUT
        assert caught.value.partial_text

    run_simulated(main, settings=PACED)


@WAYS
@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize(
    ("timeouts", "kind"),
    [
        (Timeouts(request_s=2.05), ErrorKind.REQUEST_TIMEOUT),
        (Timeouts(attempt_s=2.05), ErrorKind.ATTEMPT_TIMEOUT),
        (Timeouts(stall_s=0.05), ErrorKind.STALL_TIMEOUT),
    ],
)
def test_a_client_without_a_block_keeps_the_same_deadlines(
    by_hand: bool, timeouts: Timeouts, kind: ErrorKind, read_on: str
) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        other = trillium.open_client("sim-1", base_url=provider.base_url, key=provider.key)
        if by_hand:
            await other.open()
            client = other
        try:
            with pytest.raises(trillium.DeadlineError) as caught:
                async with client.stream("Why?", timeouts=timeouts) as stream:
                    await _read_on(stream, read_on, [])
        finally:
            await other.aclose()
        assert caught.value.kind == kind
        assert caught.value.partial_text
        stalled = kind is ErrorKind.STALL_TIMEOUT
        assert trio.current_time() == pytest.approx(1.05 if stalled else 2.05)

    run_simulated(main, settings=PACED)


def test_a_deadline_that_passes_while_the_reader_is_busy_ends_the_stream_next() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trillium.DeadlineError) as caught:
            async with client.stream("Why?", timeouts=Timeouts(request_s=2)) as stream:
                async for _ in stream:
                    await trio.sleep(3)
        assert caught.value.kind == ErrorKind.REQUEST_TIMEOUT
        assert trio.current_time() == pytest.approx(4, abs=3.1)

    run_simulated(main, settings=PACED)


@WAYS
def test_a_stall_is_counted_from_the_chunk_before(read_on: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([FaultKind.STALL])
        chunks: list[trillium.Chunk] = []
        timeouts = Timeouts(request_s=None, stall_s=0.5)
        async with client.stream("Why?", timeouts=timeouts) as stream:
            with pytest.raises(trillium.DeadlineError):
                await _read_on(stream, read_on, chunks)
        assert len(chunks) > 3
        last_at = 1.0 + (len(chunks) - 1) / 10
        assert trio.current_time() == pytest.approx(last_at + 0.5)

    run_simulated(main, settings=PACED)


@WAYS
def test_closing_the_client_ends_a_stream_that_is_waited_for(read_on: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        other = trillium.open_client("sim-1", base_url=provider.base_url, key=provider.key)

        async def read(stream: trillium.CompletionStream) -> None:
            with pytest.raises(trillium.RequestError):
                await _read_on(stream, read_on, [])

        async with trio.open_nursery() as nursery:
            async with other:
                stream = other.stream("Why?")
                await stream.__aenter__()
                nursery.start_soon(read, stream)
                await trio.sleep(0.35)
        await stream.__aexit__(None, None, None)
        assert trio.current_time() == pytest.approx(1.35)

    run_simulated(main, settings=PACED)


@WAYS
def test_a_wait_that_is_cancelled_has_closed_its_connection(read_on: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        chunks: list[trillium.Chunk] = []
        async with client.stream("Why?") as stream:
            (station,) = client._routes.stations
            with trio.move_on_after(0.55):
                await _read_on(stream, read_on, chunks)
            assert station.transport.open_connections == 0  # type: ignore[attr-defined]  # a Pool
            assert len(chunks) == 6
            with pytest.raises(trillium.UsageError, match="was cancelled while it waited"):
                await _read_on(stream, read_on, chunks)

    run_simulated(main, settings=PACED)


def test_of_two_who_wait_for_the_same_chunk_one_is_told_and_the_other_goes_on() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        chunks: list[trillium.Chunk] = []
        async with client.stream("Why?") as stream, trio.open_nursery() as nursery:
            nursery.start_soon(_read_on, stream, "iterated", chunks)
            await trio.sleep(0.25)
            with pytest.raises(trillium.UsageError, match="two wait"):
                await anext(stream)
        assert "".join(chunk.text for chunk in chunks) == stream.completion.text

    run_simulated(main, settings=PACED)


def test_what_is_wrong_in_decoding_is_raised_where_the_stream_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.stream("Why?") as stream:
            await anext(stream)
            monkeypatch.setattr(AnswerStream, "feed", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await anext(stream)
        monkeypatch.undo()
        assert (await client.complete("still there?")).success

    run_simulated(main, settings=PACED)


def test_a_stream_and_plain_calls_take_turns_on_a_connection() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        for _ in range(3):
            async with client.stream("Why?") as stream:
                await stream.read()
            assert (await client.complete("And now?")).success
        (station,) = client._routes.stations
        assert station.transport.open_connections == 1  # type: ignore[attr-defined]  # a Pool

    run_simulated(main, settings=PACED)


def test_a_stream_is_read_in_its_block_and_entered_once() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        stream = client.stream("Why?")
        with pytest.raises(trillium.UsageError, match="in its block"):
            await anext(stream)
        async with stream:
            with pytest.raises(trillium.UsageError, match="all of its chunks"):
                _ = stream.completion
        with pytest.raises(trillium.UsageError, match="in its block"):
            await anext(stream)
        with pytest.raises(trillium.UsageError, match="entered once"):
            async with stream:
                pass

    run_simulated(main)


async def test_cancelled_at_any_checkpoint_a_stream_leaks_nothing() -> None:
    async with (
        open_simulator(SimulatorSettings(tokens_per_second=20_000)) as provider,
        trillium.open_client(
            "m", base_url=provider.base_url, key=provider.key, concurrency=1
        ) as client,
    ):

        async def operation() -> None:
            async with client.stream("Why?") as stream:
                async for _ in stream:
                    pass

        async def after_each() -> None:
            (station,) = client._routes.stations
            assert station.limiter.borrowed_tokens == 0
            assert station.transport.open_connections <= 1  # type: ignore[attr-defined]  # a Pool

        assert await cancel_at_every_checkpoint(operation, after_each) > 5
        assert (await client.complete("still there?")).success


def test_an_event_that_only_the_end_of_the_body_ends_is_shown_too() -> None:
    body = (
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}'
    )

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        headers = {"content-type": "text/event-stream"}
        provider.script([Scripted(body=body, headers=headers)])
        async with client.stream("Why?") as stream:
            text = "".join([chunk.text async for chunk in stream])
        assert text == stream.completion.text == "ab"

    run_simulated(main)


def test_a_stream_that_was_cancelled_while_it_waited_says_so() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.stream("Why?") as stream:
            await anext(stream)
            with trio.move_on_after(0.01):
                await anext(stream)
            with pytest.raises(trillium.UsageError, match="was cancelled while it waited"):
                await anext(stream)

    run_simulated(main, settings=PACED)


@WAYS
def test_a_chunk_in_hand_is_no_stall_whatever_the_clock_says_next(
    read_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake = StreamReader._wake

    def wake_late(reader: StreamReader) -> None:
        wake(reader)
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(5)  # as if the loop had stood still until now

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        chunks: list[trillium.Chunk] = []
        timeouts = Timeouts(request_s=None, stall_s=2)
        async with client.stream("Why?", timeouts=timeouts) as stream:
            monkeypatch.setattr(StreamReader, "_wake", wake_late)
            await _read_on(stream, read_on, chunks)
        assert "".join(chunk.text for chunk in chunks) == stream.completion.text

    run_simulated(main, settings=PACED)


def test_what_is_shielded_is_read_though_all_around_the_client_is_cancelled() -> None:
    async def main(_: trillium.Client, provider: SimulatedProvider) -> None:
        with trio.CancelScope() as outer:
            async with trillium.open_client(
                "sim-1", base_url=provider.base_url, key=provider.key
            ) as client:
                async with client.stream("Why?") as begun:
                    outer.cancel()
                    with trio.CancelScope(shield=True):
                        await begun.read()
                with trio.CancelScope(shield=True):
                    assert (await client.complete("And now?")).success
                    async with client.stream("And then?") as stream:
                        await stream.read()
        assert begun.completion.text
        assert stream.completion.text

    run_simulated(main, settings=PACED)


def test_a_block_that_is_left_tells_who_still_reads() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async def read(stream: trillium.CompletionStream) -> None:
            with pytest.raises(trillium.RequestError):
                await _read_on(stream, "iterated", [])

        async with trio.open_nursery() as nursery, client.stream("Why?") as stream:
            nursery.start_soon(read, stream)
            await trio.sleep(0.35)

    run_simulated(main, settings=PACED)
