"""A journal is read through twice, and becomes a report.

The first time tells which line of each request is its last, and when there was work at all; the
second time counts. What is kept of a request is eight bytes, where its last line begins: so a
million of them take some 10 MB, however long their answers are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from trillium._batch.line_reader import MAX_LINE_BYTES
from trillium._batch.placed_lines import PlacedLines
from trillium._batch.sidecar import Identity, read_identity
from trillium._report.gathering import Gathering
from trillium._report.lines import ReportLine, decode_line
from trillium._report.records import BatchReport
from trillium._report.sessions import Activity
from trillium._report.timeline import Binning
from trillium._wire.recorded_lines import LineError
from trillium.errors import InvalidInputError, OutputError

BLOCK_BYTES: Final = 1 << 20


def read_report(path: str) -> BatchReport:
    """Return the report of a batch's output, finished or not. It blocks: some 15 s a million.

    Of two lines of one request the last counts. A line that is torn, or no outcome, is counted as
    such and passed over.

    Args:
        path: The output; what stands beside it is read where it is there.

    Raises:
        InvalidInputError: It cannot be read, was written by a later release, or has no outcome.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInputError(f"cannot be read: {error.strerror}", file=path) from None
    try:
        return _Reading(fd, path).report()
    except OSError as error:
        raise InvalidInputError(f"cannot be read: {error.strerror}", file=path) from None
    except LineError as error:
        raise InvalidInputError(f"{error}: report it with that one", file=path) from None
    finally:
        os.close(fd)


class _Reading:
    """One file on its way to a report."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path
        self._placed = PlacedLines()
        self._activity = Activity()
        self._superseded = self._damaged = 0
        self._size = 0

    def report(self) -> BatchReport:
        self._place()
        requests = self._placed.count
        if not requests:
            raise InvalidInputError("holds no outcome of a batch", file=self._path)
        sessions = self._activity.sessions()
        binning = Binning(sessions, requests=requests) if sessions else None
        gathering = Gathering(binning=binning)
        for offset, line in self._lines(self._size):
            found = decode_line(line)
            if found is not None and self._placed.offset(found.index) == offset:
                gathering.count(found)
        return gathering.report(
            source=Path(self._path).name,
            superseded=self._superseded,
            damaged=self._damaged,
            **_known(self._path),
        )

    def _place(self) -> None:
        """Read it for the first time. More may be written meanwhile; that is left out."""
        for offset, line in self._lines(os.fstat(self._fd).st_size):
            self._size = offset + len(line) + 1
            found = decode_line(line)
            if found is None:
                self._damaged += bool(line)
                continue
            self._superseded += self._placed.put(found.index, offset, None)
            self._note_time(found)

    def _note_time(self, line: ReportLine) -> None:
        start = line.started_at
        if start is not None and line.ended_at is not None:
            self._activity.add(start, line.ended_at)

    def _lines(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of the first bytes, less their ends, each with where it begins."""
        rest = b""
        start = at = 0
        while at < size and (block := os.pread(self._fd, min(BLOCK_BYTES, size - at), at)):
            at += len(block)
            # A line holds one answer, so pieces of a block's size are few.
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if len(rest) > MAX_LINE_BYTES:
                message = f"a line is longer than {MAX_LINE_BYTES >> 20} MiB: no batch wrote it"
                raise InvalidInputError(message, file=self._path)
            for line in lines:
                yield start, line
                start += len(line) + 1
        if rest:
            yield start, rest


def _known(path: str) -> dict[str, Any]:
    """Return what stands beside a journal, in the words of a report."""
    try:
        identity: Identity | None = read_identity(path)
    except (OSError, OutputError):
        return {}  # a report can do without
    if identity is None:
        return {}
    return {
        "input_name": None if identity.input_path is None else Path(identity.input_path).name,
        "parameters": dict(identity.parameters),
        "expected": identity.input_requests,
    }
