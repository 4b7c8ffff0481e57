"""Outcomes on their way to the output: none is lost, whoever is slow or goes away."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from trillium._batch.journal import Journal, open_journal
from trillium._batch.progress import Progress
from trillium.cli.answers import MOST_UNWRITTEN, Answers, Watch
from trillium.completions import Completion, FinishReason

PIPE_BYTES = 1 << 16
"""More than a pipe holds here makes a write wait; see pipe(7)."""


def completion(index: int, *, text: str = "x") -> Completion:
    return Completion(
        id=index,
        index=index,
        model="m",
        endpoint="e",
        text=text,
        finish_reason=FinishReason.STOP,
        latency_s=0.5,
    )


def indices(written: bytes) -> list[int]:
    return [json.loads(line)["index"] for line in written.splitlines()]


async def read(fd: int, size: int = PIPE_BYTES) -> bytes:
    return await trio.to_thread.run_sync(os.read, fd, size)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:
            pass  # the test closed it


async def test_what_is_taken_is_written_in_that_order_without_being_asked(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    answers = Answers(open_journal(path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers.write_as_they_come)
        for index in (3, 1, 2):
            answers.made(completion(index))
            answers.take(completion(index))
        await answers.wait_all_written()
        assert indices(path.read_bytes()) == [3, 1, 2]
        answers.take(completion(4))
        await answers.wait_all_written()
        nursery.cancel_scope.cancel()
    assert answers.on_disk == 4
    assert answers.close() == 0
    assert indices(path.read_bytes()) == [3, 1, 2, 4]


async def test_what_was_made_and_not_taken_is_written_at_the_close(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    answers = Answers(open_journal(path))
    watch = Watch(Progress(started_at=0.0), answers)
    for index in (5, 2, 0, 4):
        watch.outcome(completion(index))
    answers.take(completion(0))
    assert answers.close() == 0
    assert indices(path.read_bytes()) == [0, 2, 4, 5]
    assert answers.on_disk == 4


async def test_a_slow_reader_is_waited_for_and_holds_up_whoever_brings_more(
    pipe: tuple[int, int],
) -> None:
    reader, writer = pipe
    answers = Answers(Journal(writer, name="pipe", closes=False))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers.write_as_they_come)
        answers.take(completion(0, text="x" * 2 * PIPE_BYTES))
        written = await read(reader, 1)  # it is being written, and waits for more to be read
        for index in range(1, MOST_UNWRITTEN + 1):
            answers.take(completion(index))
        assert answers.is_full
        gone = trio.Event()

        async def bring() -> None:
            await answers.wait_for_room()
            gone.set()

        nursery.start_soon(bring)
        await trio.testing.wait_all_tasks_blocked()
        assert not gone.is_set()

        while written.count(b"\n") <= MOST_UNWRITTEN:
            written += await read(reader)
        await answers.wait_all_written()
        await gone.wait()
        nursery.cancel_scope.cancel()
    assert indices(written) == list(range(MOST_UNWRITTEN + 1))


async def test_any_number_may_wait_for_what_is_written(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    answers = Answers(Journal(writer, name="pipe", closes=False))
    async with trio.open_nursery() as nursery:
        answers.take(completion(0))
        async with trio.open_nursery() as waiting:
            for _ in range(3):
                waiting.start_soon(answers.wait_all_written)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(answers.write_as_they_come)
        nursery.cancel_scope.cancel()
    assert indices(await read(reader)) == [0]


async def test_a_reader_that_goes_away_is_told_of(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    answers = Answers(Journal(writer, name="pipe", closes=False))
    answers.take(completion(0))
    with pytest.raises(BrokenPipeError):
        await answers.write_as_they_come()
    with pytest.raises(BrokenPipeError):
        answers.close()


async def test_an_interrupted_write_that_blocks_is_not_waited_for_long(
    pipe: tuple[int, int],
) -> None:
    reader, writer = pipe
    answers = Answers(Journal(writer, name="pipe", closes=False))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answers.write_as_they_come)
            answers.take(completion(0, text="x" * 2 * PIPE_BYTES))
            await read(reader, 1)  # it is being written, and waits for more to be read
            scope.cancel()
    answers.made(completion(1))
    assert answers.close(grace_s=0.01) == 2
    # The thread that was left behind ends when it can.
    while os.read(reader, PIPE_BYTES)[-1:] != b"\n":
        pass
