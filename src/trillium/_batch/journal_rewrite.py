"""A journal is made tidy: superseded and damaged lines dropped, or put in the order of the input.

The new file is written beside the old one and takes its place by one rename, so that at any
moment there is a whole journal under its name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from trillium._batch.journal_scan import BLOCK_BYTES, Found
from trillium._wire.recorded_lines import LineError, decode_head

TEMPORARY: Final = ".tmp"
_READ_BYTES: Final = 1 << 16


class LineReads:
    """Lines by their offsets; near ones are read together."""

    __slots__ = ("_block", "_fd", "_start")

    def __init__(self, fd: int) -> None:
        """Read from a descriptor that is open for reading."""
        self._fd = fd
        self._block = b""
        self._start = 0

    def line(self, offset: int) -> bytes:
        """Return the line that begins at an offset, its end included.

        Raises:
            OSError: It cannot be read.
        """
        place = offset - self._start
        end = self._block.find(b"\n", place) if 0 <= place < len(self._block) else -1
        if end < 0:
            self._start, self._block, place = offset, b"", 0
            while end < 0:
                more = os.pread(self._fd, _READ_BYTES, offset + len(self._block))
                if not more:
                    return self._block
                end = more.find(b"\n")
                end += len(self._block) if end >= 0 else 0
                self._block += more
        return self._block[place : end + 1]


def rewrite(
    path: str,
    fd: int,
    found: Found,
    *,
    in_order: bool,
    checkpoint: Callable[[], object] | None = None,
) -> None:
    """Put the last line of each index into a new file, which takes the place of the old one.

    It blocks, and holds no more than a megabyte.

    Args:
        path: Of the journal.
        fd: The journal, open for reading.
        found: What a scan of it has found.
        in_order: In the order of the input; else lines keep their order.
        checkpoint: Called now and then; it may raise, to stop. Nothing has changed then.

    Raises:
        OSError: It cannot be written; the old file stands.
    """
    # A link stays a link: what it leads to is replaced, maybe on another file system.
    path = os.path.realpath(path)
    temporary = temporary_path(path)
    lines = _in_order(fd, found) if in_order else _as_they_stand(fd, found)
    try:
        with open(temporary, "wb", buffering=BLOCK_BYTES) as file:  # noqa: PTH123  # as a str
            os.fchmod(file.fileno(), os.fstat(fd).st_mode & 0o7777)
            for count, line in enumerate(lines):
                if checkpoint is not None and count % 4096 == 0:
                    checkpoint()
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync_folder(path)


def temporary_path(path: str) -> str:
    """Return where the new file of a journal is written."""
    return os.path.realpath(path) + TEMPORARY


def sync_folder(path: str) -> None:
    """Bring the name of a file to the disk; some systems cannot, and then need not."""
    with contextlib.suppress(OSError):
        folder = os.open(Path(path).parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _in_order(fd: int, found: Found) -> Iterator[bytes]:
    reads = LineReads(fd)
    for offset in found.lines.offsets():
        yield reads.line(offset)


def _as_they_stand(fd: int, found: Found) -> Iterator[bytes]:
    reads = LineReads(fd)
    offset = 0
    while offset < found.size:
        line = reads.line(offset)
        with contextlib.suppress(LineError):
            if found.lines.offset(decode_head(line).index) == offset:
                yield line
        offset += len(line)
