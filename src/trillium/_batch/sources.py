"""Where a batch's requests come from: files of lines, and streams of them.

A regular file is read through once before anything is sent (`check_source`), and then again, a
piece at a time, as its requests are wanted (`read_source`). What can be read only once (standard
input, pipes) is checked as it comes (`StreamSource`): a bad line stops the source when it is
reached. Neither holds more than a piece of the file and nine bytes for each id.

Either all requests of a source have an id, or none has; then they go by their place. A mixture
is refused, since a number that we gave might be one that was given.
"""

from __future__ import annotations

import hashlib
import os
import select
import stat
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final, Self, final

import attrs
import trio

from trillium._batch.id_set import IdSet
from trillium._batch.line_reader import LineReader, Parse, Skip
from trillium._batch.placed import Placed
from trillium._batch.unpacked import form_of, unpacked
from trillium._wire.chat_requests import Defaults, make_plain_request
from trillium._wire.plain_prompt_lines import plain_line
from trillium._wire.prompt_lines import parse_json_line, parse_text_line
from trillium._wire.prompt_template import PromptTemplate, parse_row
from trillium.errors import InvalidInputError
from trillium.messages import Request

STANDARD_INPUT: Final = "-"

_BLOCK_BYTES: Final = 1 << 20

FilePath = str | os.PathLike[str]
Check = Callable[[Request], None]
"""Raises `InvalidRequestError` for a request that cannot be sent, such as `Dialect.encode`.

It goes by all of a request but the words of its texts."""
Stamp = tuple[int, int, int, int]


@final
@attrs.frozen(kw_only=True)
class SourceSummary:
    """What the first reading found."""

    count: int | None
    """How many requests there are; None for a stream, of which nothing has been read."""
    stamp: Stamp | None
    """Device, inode, size and time of the file's last change, to notice another one."""

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once: take a `StreamSource` then."""
        return self.count is None


def check_source(
    path: FilePath,
    defaults: Defaults,
    *,
    template: PromptTemplate | None = None,
    check: Check | None = None,
) -> SourceSummary:
    """Read a file through, and find whether every line stands for a request that can be sent.

    It blocks, at about 10 µs a line: call it before the run begins, or in a thread.

    Args:
        path: A file named `.jsonl`, `.txt`, `.csv` (those also with `.gz` or `.zst`) or
            `.parquet`, or `-` for standard input.
        defaults: For what the lines do not say.
        template: Makes prompts of rows.
        check: Called with the requests, to find what a dialect cannot say; of lines that have
            nothing but a prompt, with the first.

    Raises:
        InvalidInputError: The file cannot be read, or one of its lines stands for no request;
            `line` says which, blank ones counted.
    """
    parse = _parser(path, defaults, check, template)
    with _open(path) as file:
        stamp = _stamp(path, file)
        if stamp is None:
            return SourceSummary(count=None, stamp=None)
        reader = _file_reader(path, parse)
        count = sum(1 for _ in _requests(path, file, reader))
    return SourceSummary(count=count, stamp=stamp)


def read_source(
    path: FilePath,
    defaults: Defaults,
    *,
    template: PromptTemplate | None = None,
    summary: SourceSummary | None = None,
    check: Check | None = None,
) -> Iterator[Request]:
    """Yield the requests of a file in order, read as they are wanted.

    Nothing is opened before the first is asked for; closing the iterator closes the file. The
    reads block: a piece of 1 MiB from a local disk takes some 100 µs, so that it may be iterated
    on trio's thread. For a pipe or a terminal take `StreamSource`, which waits without blocking.

    Args:
        path: As for `check_source`.
        defaults: For what the lines do not say; the same as they were checked with.
        template: As for `check_source`.
        summary: What the first reading found. Without it ids are compared now.
        check: Called with each request; needless after a first reading.

    Raises:
        InvalidInputError: A line stands for no request, or the file is not the one that was
            checked any more.
    """
    parse = _parser(path, defaults, check, template)
    with _open(path) as file:
        if summary is not None:
            if summary.stamp != _stamp(path, file):
                raise _changed(path)
            reader = LineReader(source_name(path), parse)
        elif _stamp(path, file) is not None:
            reader = _file_reader(path, parse)
        else:
            reader = LineReader(source_name(path), parse, ids=IdSet())
        yield from _requests(path, file, reader)


def read_remaining(
    path: FilePath,
    defaults: Defaults,
    *,
    template: PromptTemplate | None = None,
    summary: SourceSummary,
    skip: Skip,
) -> Iterator[Placed]:
    """Yield those requests of a file that an earlier run has not answered, with their places.

    Lines that are passed over are not read: a million of them take half a second.

    Args:
        path: As for `check_source`.
        defaults: For what the lines do not say; the same as they were checked with.
        template: As for `check_source`.
        summary: What the first reading found.
        skip: Whether to pass over the request of an index.

    Raises:
        InvalidInputError: The file is not the one that was checked any more.
    """
    parse = _parser(path, defaults, None, template)
    reader = LineReader(source_name(path), parse, skip=skip)
    with _open(path) as file:
        if summary.stamp != _stamp(path, file):
            raise _changed(path)
        for request in _requests(path, file, reader):
            yield Placed(reader.index, request)


def hash_source(path: FilePath) -> tuple[str, Stamp] | None:
    """Return the SHA-256 of a file's bytes in hex, and its stamp; None for a stream.

    It blocks, for half a second for a gigabyte.

    Raises:
        InvalidInputError: The file cannot be read, or changes while it is.
    """
    with _open(path) as file:
        stamp = _stamp(path, file)
        if stamp is None:
            return None
        digest = hashlib.sha256()
        for block in _blocks(file, source_name(path)):
            digest.update(block)
        if _stamp(path, file) != stamp:
            raise _changed(path)
        return digest.hexdigest(), stamp


@final
class StreamSource:
    """The requests of standard input or a pipe, as an asynchronous iterator.

    Waiting for input blocks nothing else, and can be cancelled. Ids are compared by their hashes
    alone, since what was read is gone: the chance that a million different ones are taken for
    two equal ones is 3 in 10^8.
    """

    def __init__(
        self,
        path: FilePath,
        defaults: Defaults,
        *,
        template: PromptTemplate | None = None,
        check: Check | None = None,
    ) -> None:
        """Open the stream; nothing is read yet.

        Args:
            path: `-` for standard input, or the name of a pipe.
            defaults: For what the lines do not say.
            template: Makes prompts of the lines' fields.
            check: Called with each request, to find what a dialect cannot say.

        Raises:
            InvalidInputError: It cannot be opened.
        """
        self._name = source_name(path)
        parse = _parser(path, defaults, check, template)
        self._reader = LineReader(self._name, parse, ids=IdSet())
        self._file = _open(path)
        self._ready: Iterator[Request] = iter(())
        self._ended = False
        self._waits = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Request:
        """Return the next request.

        Raises:
            InvalidInputError: The next line stands for none. The source is at its end then.
        """
        await trio.lowlevel.checkpoint()
        try:
            while True:
                for request in self._ready:
                    return request
                if self._ended:
                    raise StopAsyncIteration
                block = await self._receive()
                self._ended = not block
                self._ready = self._reader.feed(block) if block else self._reader.close()
        except InvalidInputError:
            self._ended = True
            raise

    async def aclose(self) -> None:
        """Close the stream, standard input excepted."""
        self._file.close()
        self._ready = iter(())
        self._ended = True
        await trio.lowlevel.checkpoint()

    async def _receive(self) -> bytes:
        block = None
        while block is None:
            if self._waits:
                try:
                    await trio.lowlevel.wait_readable(self._file)
                except PermissionError:
                    # epoll knows no regular files (`< prompts.jsonl`) and no /dev/null; they
                    # never make one wait.
                    self._waits = False
            block = _read(self._file, self._name)
        return block  # noqa: ASYNC910  # __anext__ was one


def source_name(path: FilePath) -> str:
    """Return what a source is called in messages."""
    name = os.fspath(path)
    return "standard input" if name == STANDARD_INPUT else name


def _parser(
    path: FilePath, defaults: Defaults, check: Check | None, template: PromptTemplate | None
) -> Parse:
    """Return what reads a line of a source: the form goes by the name."""
    form = form_of(os.fspath(path))
    if _is_regular(path):
        if not form.is_known:
            message = (
                "of unknown form: name it .jsonl (JSON lines), .txt (a prompt a line), .csv or "
                ".parquet; .gz or .zst may follow"
            )
            raise InvalidInputError(message, file=source_name(path))
    elif form.is_known and not form.is_plain and Path(path).exists():
        raise InvalidInputError("not a file: unpack it first", file=source_name(path))
    if template is not None and form.suffix == ".txt":
        raise InvalidInputError("its lines have no columns for --prompt", file=source_name(path))

    def parse_line(line: bytes) -> Request:
        if template is not None or form.is_table:
            return parse_row(line, defaults, template)
        return parse_text_line(line, defaults) if is_text else parse_json_line(line, defaults)

    is_text = form.suffix == ".txt"
    if check is None:
        return parse_line
    if template is None and not form.is_table and not is_text:
        return _checked_json_lines(defaults, check)
    checks = check

    def parse(line: bytes) -> Request:
        request = parse_line(line)
        checks(request)
        return request

    return parse


def _checked_json_lines(defaults: Defaults, check: Check) -> Parse:
    """Return what reads lines and checks requests, of bare prompts the first alone.

    Whether a request can be said in a dialect, and paid, goes by its parameters and the kinds of
    its messages; the words of a prompt are all that such lines do not share. To encode every one
    of them twice would cost 5 µs on each.
    """
    prompts_pass = False

    def parse(line: bytes) -> Request:
        nonlocal prompts_pass
        plain = plain_line(line)
        if plain is None:
            request = parse_json_line(line, defaults)
            check(request)
            return request
        id_, messages = plain
        request = make_plain_request(messages, id=id_, defaults=defaults)
        is_prompt = len(messages) == 1 and messages[0].role == "user"
        if not (is_prompt and prompts_pass):
            check(request)
            prompts_pass = prompts_pass or is_prompt
        return request

    return parse


def _is_regular(path: FilePath) -> bool:
    """Return whether it is a file that can be read again; standard input never is."""
    return os.fspath(path) != STANDARD_INPUT and Path(path).is_file()


def _open(path: FilePath) -> FileIO:
    name = source_name(path)
    try:
        if os.fspath(path) == STANDARD_INPUT:
            return FileIO(0, closefd=False)
        return FileIO(path)
    except FileNotFoundError:
        raise InvalidInputError("there is no such file", file=name) from None
    except OSError as error:
        raise InvalidInputError(f"cannot be read: {error.strerror}", file=name) from None


def _stamp(path: FilePath, file: FileIO) -> Stamp | None:
    """Return what tells a file from a changed one; None if it is read only once."""
    found = os.fstat(file.fileno())
    if os.fspath(path) == STANDARD_INPUT or not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(file: FileIO, name: str) -> bytes | None:
    """Return the next piece, empty at the end; None if a non-blocking descriptor has none yet."""
    try:
        return file.read(_BLOCK_BYTES)
    except OSError as error:
        raise InvalidInputError(f"cannot be read: {error.strerror}", file=name) from None


def _blocks(file: FileIO, name: str) -> Iterator[bytes]:
    while (block := _read(file, name)) != b"":
        if block is None:
            select.select((file,), (), ())
        else:
            yield block


def _line_blocks(path: FilePath, file: FileIO) -> Iterator[bytes]:
    form = form_of(os.fspath(path))
    name = source_name(path)
    return _blocks(file, name) if form.is_plain or not form.is_known else unpacked(file, form, name)


def _changed(path: FilePath) -> InvalidInputError:
    message = "the file changed while it was in use: start again when it is complete"
    return InvalidInputError(message, file=source_name(path))


def _requests(path: FilePath, file: FileIO, reader: LineReader) -> Iterator[Request]:
    """Yield all requests of a file, which must not change in the meantime."""
    stamp = _stamp(path, file)
    try:
        for block in _line_blocks(path, file):
            yield from reader.feed(block)
        yield from reader.close()
    except InvalidInputError as error:
        if _stamp(path, file) != stamp:
            raise _changed(path) from error
        raise
    if _stamp(path, file) != stamp:
        raise _changed(path)


def _file_reader(path: FilePath, parse: Parse) -> LineReader:
    """Return a reader that compares ids, and reads a file's earlier lines again to be sure."""

    def find_id(id_: str | int, line: int) -> int | None:
        again = LineReader(source_name(path), parse)
        with _open(path) as file:
            same = (again.line for request in _requests(path, file, again) if request.id == id_)
            earlier = next(same, line)
        return earlier if earlier < line else None

    return LineReader(source_name(path), parse, ids=IdSet(), find_id=find_id)
