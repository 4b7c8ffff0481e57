"""Dice that fall the same in every run: a draw is a function of what it is for.

One stream of random numbers would give a request another draw whenever another request was
faster; so each draw is made from (seed, request, attempt) alone.
"""

from __future__ import annotations

import hashlib
from typing import Final

_MANTISSA_BITS: Final = 53
"""What a float holds exactly: with more bits, the largest draw would round to 1.0."""


def draw(seed: int, request: int | str, attempt: int) -> float:
    """Return a number from [0, 1), evenly spread, the same for the same arguments.

    Args:
        seed: The run's seed.
        request: What tells the request apart: its id, or its place in the batch. `1` and `"1"`
            are two requests.
        attempt: Number of the attempt, from 1.
    """
    kind = "s" if isinstance(request, str) else "i"
    # The request comes last, since an id may hold any character: no two triples give one text.
    text = f"{seed} {attempt} {kind} {request}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - _MANTISSA_BITS)) / (1 << _MANTISSA_BITS)
