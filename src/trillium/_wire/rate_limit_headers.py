"""Which headers of a response tell of rate limits."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from operator import itemgetter
from typing import Final

from trillium._wire.headers import Headers

PREFIXES: Final = (
    b"x-ratelimit-",
    b"x-ratelimitbysize-",
    b"x-tokenlimit-",
    b"anthropic-ratelimit-",
    b"anthropic-priority-",
    b"anthropic-fast-",
    b"ratelimit",
    b"retry-after",
)
"""OpenAI and most others; Mistral; Together; Anthropic; the IETF draft and Mistral; RFC 9110."""

MAX_KNOWN_BLOCKS: Final = 256
"""How many sequences of header names are remembered; a server sends a handful."""

_name_of: Final = itemgetter(0)


def rate_limit_fields(headers: Headers) -> Mapping[str, str]:
    """Return the rate-limit headers as they came: names in lower case, the last of a name."""
    raw = headers.raw
    return {
        name: raw[place][1].decode("latin-1") for name, place in _places(tuple(map(_name_of, raw)))
    }


# Keyed by the names: a provider sends the same ones in the same order in every answer, while the
# values (dates, request ids, what remains) differ. A third faster than asking of each name.
@functools.lru_cache(maxsize=MAX_KNOWN_BLOCKS)
def _places(names: tuple[bytes, ...]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (name.decode("latin-1"), place)
        for place, name in enumerate(names)
        if name.startswith(PREFIXES)
    )
