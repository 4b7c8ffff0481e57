"""A journal is read through: which requests have an outcome, and where it stands.

A line that the end of a process cut is *torn*: it was never given out, so it is cut off. Lines
that are no outcomes further up (a machine that lost its power may leave such) are *damaged*:
their requests are as if they had never been answered. Both are dropped when a run is finished.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from decimal import Decimal
from typing import Final, final

import attrs

from trillium._batch.placed_lines import DigestOffsets, PlacedLines
from trillium._batch.sidecar import Sidecar
from trillium._wire.recorded_lines import LineError, LineHead, decode_head
from trillium.errors import ErrorKind, OutputError

BLOCK_BYTES: Final = 1 << 20
MAX_INDEX: Final = 1 << 40
"""More than any input has: a line with a higher one is damaged, and would cost memory."""


@final
@attrs.define(eq=False)
class Found:
    """What a journal holds."""

    lines: PlacedLines = attrs.field(factory=PlacedLines)
    digests: DigestOffsets | None = None
    """Where the answer to an equal request stands; None if nobody asks for it."""
    superseded: int = 0
    """Lines of indexes that have a later one."""
    damaged: int = 0
    torn: bool = False
    """Whether the last line is torn."""
    in_order: bool = True
    """Whether the lines stand in the order of the input."""
    size: int = 0
    """Bytes up to the end of the last whole line."""
    unfinished_line: bool = False
    """Whether the last line is whole but for its end (LF)."""
    highest: int = -1
    """The highest index of all lines."""
    used: int = 0
    """How many completions tell their usage."""
    sent: bool = False
    """Whether any line is of a request that was sent, or is an answer."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def take(self, line: bytes, offset: int) -> bool:
        """Take note of a line, less its end, and return whether it is an outcome.

        Raises:
            LineError: It was written by a later release.
        """
        try:
            head = decode_head(line)
        except LineError as error:
            if error.version is not None:
                raise
            return False
        index = head.index
        if index > MAX_INDEX:
            return False
        kind = head.kind
        self.superseded += self.lines.put(index, offset, kind)
        self.in_order = self.in_order and index > self.highest
        self.highest = max(self.highest, index)
        if head.attempts or kind is None:
            self.sent = True
        if kind is None:
            self._count(head)
            if self.digests is not None and head.request is not None:
                with contextlib.suppress(ValueError):
                    self.digests.put(int(head.request, 16), offset)
        return True

    def _count(self, head: LineHead) -> None:
        if head.usage is None:
            return
        self.used += 1
        self.input_tokens += head.usage.input_tokens
        self.output_tokens += head.usage.output_tokens
        if head.cost_usd is not None:
            self.cost_usd += head.cost_usd

    @property
    def completed(self) -> int:
        """How many requests have a completion."""
        return self.lines.kinds().get(None, 0)

    @property
    def failures(self) -> dict[ErrorKind, int]:
        """How many requests failed in which way."""
        return {kind: count for kind, count in self.lines.kinds().items() if kind is not None}


def scan_journal(
    fd: int, *, name: str, digests: bool = False, checkpoint: Callable[[], object] | None = None
) -> Found:
    """Read a journal through, in bounded memory. It blocks: some 2 s for a million lines.

    Args:
        fd: Open for reading.
        name: What the file is called in errors.
        digests: Whether to note where the answer to which request stands.
        checkpoint: Called between blocks; it may raise, to stop.

    Raises:
        OutputError: It cannot be read, or was written by a later release.
    """
    found = Found(digests=DigestOffsets() if digests else None)
    rest = b""
    offset = 0
    try:
        while block := os.pread(fd, BLOCK_BYTES, offset + len(rest)):
            if checkpoint is not None:
                checkpoint()
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            for line in lines:
                if not found.take(line, offset) and line:
                    found.damaged += 1
                offset += len(line) + 1
        found.size = offset
        if rest:
            found.unfinished_line = found.take(rest, offset)
            found.torn = not found.unfinished_line
    except LineError as error:
        raise OutputError(f"{error}: continue it with that one", file=name) from None
    except OSError as error:
        raise OutputError(f"cannot be read: {error.strerror}", file=name) from None
    return found


def possibly_in_flight(found: Found, sidecar: Sidecar) -> int:
    """Return how many requests may have been in flight when the last run was ended, at most."""
    if not sidecar.admitted:
        return 0
    lines, count = found.lines, 0
    # The lines may know more than a mark that a machine lost with its power.
    end = max(sidecar.admitted, found.highest + 1)
    if sidecar.identity is not None and sidecar.identity.input_requests is not None:
        end = min(end, sidecar.identity.input_requests)  # the last step may go beyond the input
    for index in range(end):
        offset = lines.offset(index)
        # A failure of an earlier run may have been asked again by the last one.
        count += offset is None or (offset < sidecar.since and lines.kind(index) is not None)
    return count


def count_lines(fd: int) -> int:
    """Return how many lines a file has. It blocks.

    Raises:
        OSError: It cannot be read.
    """
    count = offset = 0
    while block := os.pread(fd, BLOCK_BYTES, offset):
        count += block.count(b"\n")
        offset += len(block)
    return count
