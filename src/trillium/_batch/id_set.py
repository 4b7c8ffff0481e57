"""Which ids were there before, in nine bytes each.

A set of Python's own keeps some hundred bytes for an id; a million prompts then take more memory
than the run itself. Here an id is its 64-bit hash, in one of 4,096 sorted arrays: short enough
that an insertion moves about a kilobyte (1.2 µs each, for a million ids).

Two ids may share a hash, one pair in 2^64: whoever can look at the earlier id again should.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Final, final

_SHARD_BITS: Final = 12
_MASK_64: Final = (1 << 64) - 1
_SHARD_SHIFT: Final = 64 - _SHARD_BITS


@final
class IdSet:
    """The hashes of the ids that were added. Text and numbers never share one."""

    __slots__ = ("_shards",)

    def __init__(self) -> None:
        self._shards = [array("Q") for _ in range(1 << _SHARD_BITS)]

    def add(self, id_: str | int) -> bool:
        """Add an id; return whether it, or another of the same hash, was there before."""
        # Whole numbers hash to themselves (modulo 2^61 - 1): their digits spread, and differ.
        key = (id_,) if isinstance(id_, str) else (0, str(id_))
        digest = hash(key) & _MASK_64
        shard = self._shards[digest >> _SHARD_SHIFT]
        place = bisect_left(shard, digest)
        if place < len(shard) and shard[place] == digest:
            return True
        shard.insert(place, digest)
        return False

    def size_bytes(self) -> int:
        """Return how much memory the hashes take."""
        return sum(shard.__sizeof__() for shard in self._shards)
