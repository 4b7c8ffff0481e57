"""Files are checked before they are used; streams are checked as they come."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trillium._batch.id_set import IdSet
from trillium._batch.sources import StreamSource, check_source, read_source, source_name
from trillium._wire.chat_requests import Defaults
from trillium.errors import InvalidInputError, InvalidRequestError
from trillium.messages import Request

DEFAULTS = Defaults(model="m")
PROMPTS = "".join(f'{{"id": "p{number}", "prompt": "Prompt {number}"}}\n' for number in range(100))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text(PROMPTS)
    return path


@contextmanager
def standard_input(fd: int) -> Iterator[None]:
    """Let another descriptor, which is closed, stand in for standard input."""
    kept = os.dup(0)
    os.dup2(fd, 0)
    os.close(fd)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


@contextmanager
def pipe() -> Iterator[int]:
    """A pipe as standard input; yields the end to write to, to be closed by the user."""
    reading, writing = os.pipe()
    with standard_input(reading):
        yield writing


@asynccontextmanager
async def stream(path: str | Path = "-") -> AsyncIterator[StreamSource]:
    source = StreamSource(path, DEFAULTS)
    try:
        yield source
    finally:
        await source.aclose()


def test_what_was_checked_is_what_is_read(prompts: Path) -> None:
    summary = check_source(prompts, DEFAULTS)
    assert summary.count == 100
    assert not summary.is_stream
    read = list(read_source(prompts, DEFAULTS, summary=summary))
    assert read[7] == Request("Prompt 7", id="p7", model="m")
    assert len(read) == 100
    assert list(read_source(prompts, DEFAULTS)) == read


def test_a_text_file_holds_a_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.TXT"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo")
    assert check_source(path, DEFAULTS).count == 2
    assert [request.id for request in read_source(path, DEFAULTS)] == [None, None]


def test_lines_are_read_whole_across_pieces(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join("x" * length for length in (3_000_000, 5, 1_500_000)))
    lengths = [len(request.messages[0].content) for request in read_source(path, DEFAULTS)]
    assert lengths == [3_000_000, 5, 1_500_000]


def test_a_bad_line_is_found_before_anything_is_used(prompts: Path) -> None:
    with prompts.open("a") as file:
        file.write("\n{}\n")
    with pytest.raises(InvalidInputError, match=f"^{prompts}, line 102: no prompt") as caught:
        check_source(prompts, DEFAULTS)
    assert (caught.value.file, caught.value.line) == (str(prompts), 102)


ODD_LINES = [
    '{"id": "p41", "prompt": "?", "seed": 1}',
    '{"id": "p41", "messages": [{"role": "system", "content": "?"}]}',
    '{"id": "p41", "messages":[{"role": "user", "content": "?"}, {"role": "user", "content": ""}]}',
    '{"custom_id": "p41", "body": {"messages": [{"role": "user", "content": "?"}]}}',
]


@pytest.mark.parametrize("line", ODD_LINES)
def test_what_a_dialect_cannot_say_is_found_in_the_same_way(prompts: Path, line: str) -> None:
    lines = prompts.read_text().splitlines()
    prompts.write_text("\n".join([*lines[:41], line, *lines[42:]]))

    def check(request: Request) -> None:
        if request.id == "p41":
            raise InvalidRequestError("no images here")

    with pytest.raises(InvalidInputError, match="line 42: no images here"):
        check_source(prompts, DEFAULTS, check=check)
    with pytest.raises(InvalidInputError, match="line 42: no images here"):
        list(read_source(prompts, DEFAULTS, check=check))


def test_of_lines_that_are_but_prompts_the_first_is_checked(prompts: Path) -> None:
    with prompts.open("a") as file:
        file.writelines(line.replace("p41", f"odd-{n}") + "\n" for n, line in enumerate(ODD_LINES))
    for use in (check_source, lambda *args, check: list(read_source(*args, check=check))):
        checked: list[Request] = []
        use(prompts, DEFAULTS, check=checked.append)
        ids = [request.id for request in checked]
        assert ids == ["p0", *(f"odd-{n}" for n in range(len(ODD_LINES)))]


def test_a_refused_prompt_is_told_by_its_first_line(prompts: Path) -> None:
    def check(_: Request) -> None:
        raise InvalidRequestError("too long a model name")

    for _ in range(2):
        with pytest.raises(InvalidInputError, match="line 1: too long"):
            check_source(prompts, DEFAULTS, check=check)


def test_two_equal_ids_are_found_with_both_their_lines(prompts: Path) -> None:
    with prompts.open("a") as file:
        file.write('{"id": "p6", "prompt": "again"}\n')
    for use in (check_source, lambda path, defaults: list(read_source(path, defaults))):
        with pytest.raises(InvalidInputError, match='line 101: the id "p6" was given in line 7'):
            use(prompts, DEFAULTS)


def test_two_ids_of_one_hash_raise_no_false_alarm(
    prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(self: IdSet, id_: str | int) -> bool:
        return id_ in ("p50", "p99")

    monkeypatch.setattr(IdSet, "add", add)
    assert check_source(prompts, DEFAULTS).count == 100


def test_an_iterator_that_is_closed_closes_the_file(prompts: Path) -> None:
    requests = read_source(prompts, DEFAULTS)
    assert next(requests).id == "p0"
    requests.close()  # type: ignore[attr-defined]  # a generator; else the warning is an error


@pytest.mark.parametrize("change", ["append", "replace", "damage"])
def test_a_file_that_changed_after_the_check_is_refused(prompts: Path, change: str) -> None:
    summary = check_source(prompts, DEFAULTS)
    if change == "replace":
        prompts.unlink()
    with prompts.open("r+" if change == "damage" else "a") as file:
        file.write(PROMPTS.replace('"p', '"q'))
        os.utime(file.fileno(), ns=(1, 1))
    with pytest.raises(InvalidInputError, match="the file changed") as caught:
        next(read_source(prompts, DEFAULTS, summary=summary))
    assert caught.value.line is None


@pytest.mark.parametrize("addition", ['{"id": "new", "prompt": "x"}\n', "{\n"])
def test_a_file_that_changes_while_it_is_read_is_noticed(prompts: Path, addition: str) -> None:
    summary = check_source(prompts, DEFAULTS)
    requests = read_source(prompts, DEFAULTS, summary=summary)
    next(requests)
    with prompts.open("a") as file:
        file.write(addition)
    with pytest.raises(InvalidInputError, match="the file changed"):
        list(requests)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.jsonl", "there is no such file"),
        ("missing.csv", "there is no such file"),
        ("folder.jsonl", "cannot be read: Is a directory"),
        ("prompts.xls", r"of unknown form: name it \.jsonl"),
        ("prompts.jsonl/x.jsonl", "cannot be read: Not a directory"),
    ],
)
def test_what_cannot_be_read_is_refused(prompts: Path, name: str, reason: str) -> None:
    (prompts.parent / "folder.jsonl").mkdir()
    (prompts.parent / "prompts.xls").write_text("a")
    with pytest.raises(InvalidInputError, match=reason) as caught:
        check_source(prompts.parent / name, DEFAULTS)
    assert caught.value.line is None


def test_standard_input_has_a_name_of_its_own() -> None:
    assert source_name("-") == "standard input"
    assert source_name(Path("a.jsonl")) == "a.jsonl"


def test_standard_input_is_not_read_by_the_check() -> None:
    with pipe() as writing:
        os.write(writing, PROMPTS.encode())
        os.close(writing)
        assert check_source("-", DEFAULTS).is_stream
        assert len(list(read_source("-", DEFAULTS))) == 100


def test_standard_input_that_is_a_file_is_a_stream_too(prompts: Path) -> None:
    with standard_input(os.open(prompts, os.O_RDONLY)):
        summary = check_source("-", DEFAULTS)
        assert summary.is_stream
        assert len(list(read_source("-", DEFAULTS, summary=summary))) == 100


def test_a_pipe_that_does_not_block_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as writing:
        os.set_blocking(0, False)
        wait = select.select

        def write_and_wait(*files: Any) -> Any:
            os.write(writing, b'{"prompt": "late"}\n')
            os.close(writing)
            return wait(*files)

        monkeypatch.setattr(select, "select", write_and_wait)
        assert len(list(read_source("-", DEFAULTS))) == 1


async def test_a_stream_gives_requests_as_they_come() -> None:
    with pipe() as writing:
        async with stream() as source:
            os.write(writing, b'{"id": 1, "prompt": "one"}\n{"id": 2, "pro')
            assert (await anext(source)).id == 1
            with trio.move_on_after(0) as scope:
                await anext(source)
            assert scope.cancelled_caught
            os.write(writing, b'mpt": "two"}\n\n{"id": 3, "prompt": "three"}')
            assert (await anext(source)).id == 2
            os.close(writing)
            assert [request.id async for request in source] == [3]


async def test_waiting_for_a_stream_holds_nothing_else_up() -> None:
    with pipe() as writing:
        async with stream() as source, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                assert (await anext(source)).id == 1

            await trio.testing.wait_all_tasks_blocked()
            os.write(writing, b'{"id": 1, "prompt": "one"}\n')
        os.close(writing)


async def test_a_pipe_that_gives_nothing_after_all_is_waited_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process on the same pipe may have been faster."""
    with pipe() as writing:
        os.set_blocking(0, False)
        calls = 0

        async def wait_readable(file: object) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                os.write(writing, b'{"id": 1, "prompt": "one"}\n')

        monkeypatch.setattr(trio.lowlevel, "wait_readable", wait_readable)
        async with stream() as source:
            assert (await anext(source)).id == 1
        os.close(writing)
        assert calls == 2


async def test_a_stream_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """Standard input may be a folder, or open for writing only."""
    writable = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    with standard_input(writable):
        async with stream() as source:
            with pytest.raises(InvalidInputError, match="cannot be read: Bad file descriptor"):
                await anext(source)


async def test_a_stream_ends_at_its_first_bad_line() -> None:
    with pipe() as writing:
        os.write(writing, b'{"id": 1, "prompt": "a"}\n{}\n{"id": 2, "prompt": "b"}\n')
        os.close(writing)
        async with stream() as source:
            assert (await anext(source)).id == 1
            with pytest.raises(InvalidInputError, match=r"^standard input, line 2: no prompt"):
                await anext(source)
            with pytest.raises(StopAsyncIteration):
                await anext(source)


async def test_a_stream_compares_ids() -> None:
    with pipe() as writing:
        os.write(writing, b'{"id": 1, "prompt": "a"}\n{"id": 1, "prompt": "b"}\n')
        os.close(writing)
        async with stream() as source:
            await anext(source)
            with pytest.raises(InvalidInputError, match="line 2: the id 1 was given before"):
                await anext(source)


async def test_a_file_as_standard_input_never_waits(prompts: Path) -> None:
    with standard_input(os.open(prompts, os.O_RDONLY)):
        async with stream() as source:
            assert len([request async for request in source]) == 100


async def test_an_empty_device_as_standard_input_never_waits() -> None:
    with standard_input(os.open(os.devnull, os.O_RDONLY)):
        async with stream() as source:
            assert [request async for request in source] == []


async def test_a_named_pipe_is_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "pipe.txt"
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    both = os.open(path, os.O_RDWR)
    os.write(both, b"one\ntwo\n")
    assert check_source(path, DEFAULTS).is_stream
    async with stream(path) as source:
        os.close(both)
        assert len([request async for request in source]) == 2
    with pytest.raises(StopAsyncIteration):
        await anext(source)


async def test_a_folder_is_no_stream(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Is a directory"):
        StreamSource(tmp_path, DEFAULTS)
