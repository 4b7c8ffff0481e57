"""Dice that fall the same way for the same request, whatever came before it.

A draw depends on the seed, the request and the number of its attempt alone, never on one
stream that all requests share: their order may differ from run to run, their fate may not.
"""

from __future__ import annotations

import enum
import hashlib
import math
import statistics
from typing import Final, final

import attrs

_NORMAL: Final = statistics.NormalDist()
_BITS: Final = 53
"""As many as a float in [0, 1) holds without rounding up to 1."""


class Draw(enum.IntEnum):
    """What a draw is for: its place in the digest."""

    FAULT = 0
    LATENCY = 1
    LENGTH = 2
    PLACE = 3
    """Where in the body a fault strikes."""
    STYLE = 4
    WORDS = 5
    NAME = 6
    """Two places wide: the id of the answer."""


@final
@attrs.frozen
class Dice:
    """The draws of one attempt of one request."""

    _digest: bytes

    @classmethod
    def of(cls, seed: int, *parts: bytes) -> Dice:
        """Return the dice for a seed and whatever else they depend on."""
        digest = hashlib.blake2b(repr(seed).encode())
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return cls(digest.digest())

    def number(self, draw: Draw) -> int:
        """Return a draw as a whole number of 64 bits."""
        return int.from_bytes(self._digest[8 * draw : 8 * draw + 8], "big")

    def share(self, draw: Draw) -> float:
        """Return a draw from [0, 1)."""
        return (self.number(draw) >> (64 - _BITS)) / (1 << _BITS)

    def lognormal(self, draw: Draw, *, median: float, spread: float) -> float:
        """Return a draw from the lognormal distribution.

        Args:
            draw: Which one.
            median: Half of the draws are below it.
            spread: Standard deviation of the draws' logarithm.
        """
        if not spread or not median:
            return median
        # The inverse is not defined at 0.
        quantile = _NORMAL.inv_cdf(max(self.share(draw), 1 / (1 << _BITS)))
        return median * math.exp(spread * quantile)

    def name(self) -> str:
        """Return 32 hexadecimal digits that name the answer."""
        return self._digest[8 * Draw.NAME :].hex()
