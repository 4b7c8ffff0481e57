"""Which line of a journal holds the outcome of a request: eight bytes for each request.

A dictionary would take some hundred bytes for each, a million of them more than the run itself.
Places are given from 0 in the order of the input, so an array of arrays serves, whose pages exist
where there is something to hold.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, final

from trillium.errors import ErrorKind

_PAGE_BITS: Final = 12
_PAGE: Final = 1 << _PAGE_BITS
_KIND_BITS: Final = 6
_KINDS: Final[tuple[ErrorKind | None, ...]] = (None, *ErrorKind)
_CODES: Final = {kind: code for code, kind in enumerate(_KINDS)}
_SHARD_BITS: Final = 12
_SHARD_SHIFT: Final = 64 - _SHARD_BITS

assert len(_KINDS) < 1 << _KIND_BITS


@final
class PlacedLines:
    """For each index the offset of its last line, and the kind of its error."""

    __slots__ = ("_pages", "count")

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}
        self.count: int = 0
        """How many indexes have a line."""

    def put(self, index: int, offset: int, kind: ErrorKind | None) -> bool:
        """Note where the line of an index begins; return whether it had one before.

        Args:
            index: The request's place in the input.
            offset: In bytes.
            kind: Of its error; None for a completion.
        """
        page = self._pages.get(index >> _PAGE_BITS)
        if page is None:
            page = self._pages[index >> _PAGE_BITS] = array("Q", bytes(8 * _PAGE))
        place = index & (_PAGE - 1)
        again = page[place] != 0
        # One more than the offset, so that 0 says that there is none.
        page[place] = (offset + 1) << _KIND_BITS | _CODES[kind]
        self.count += not again
        return again

    def offset(self, index: int) -> int | None:
        """Return where the line of an index begins; None if it has none."""
        packed = self._packed(index)
        return (packed >> _KIND_BITS) - 1 if packed else None

    def kind(self, index: int) -> ErrorKind | None:
        """Return the kind of error of an index that has a line; None for a completion."""
        return _KINDS[self._packed(index) & ((1 << _KIND_BITS) - 1)]

    def offsets(self) -> Iterator[int]:
        """Yield the offsets of all lines, in the order of their indexes."""
        for number in sorted(self._pages):
            for packed in self._pages[number]:
                if packed:
                    yield (packed >> _KIND_BITS) - 1

    def kinds(self) -> dict[ErrorKind | None, int]:
        """Return how many indexes have which kind of error, completions under None."""
        counts: dict[ErrorKind | None, int] = {}
        mask = (1 << _KIND_BITS) - 1
        for page in self._pages.values():
            for packed in page:
                if packed:
                    kind = _KINDS[packed & mask]
                    counts[kind] = counts.get(kind, 0) + 1
        return counts

    def _packed(self, index: int) -> int:
        page = self._pages.get(index >> _PAGE_BITS)
        return 0 if page is None else page[index & (_PAGE - 1)]


@final
class DigestOffsets:
    """The offset of a line for each of many digests, in sixteen bytes."""

    __slots__ = ("_digests", "_offsets")

    def __init__(self) -> None:
        self._digests = [array("Q") for _ in range(1 << _SHARD_BITS)]
        self._offsets = [array("Q") for _ in range(1 << _SHARD_BITS)]

    def put(self, digest: int, offset: int) -> None:
        """Note the line of a digest of 64 bits; of two, the last counts."""
        shard = digest >> _SHARD_SHIFT
        digests = self._digests[shard]
        place = bisect_left(digests, digest)
        if place < len(digests) and digests[place] == digest:
            self._offsets[shard][place] = offset
            return
        digests.insert(place, digest)
        self._offsets[shard].insert(place, offset)

    def get(self, digest: int) -> int | None:
        """Return the offset of a digest's line; None if there is none."""
        shard = digest >> _SHARD_SHIFT
        digests = self._digests[shard]
        place = bisect_left(digests, digest)
        if place < len(digests) and digests[place] == digest:
            return self._offsets[shard][place]
        return None
