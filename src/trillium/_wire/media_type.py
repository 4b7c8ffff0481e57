"""The media type in a `Content-Type`."""

from __future__ import annotations

import functools


@functools.lru_cache(maxsize=64)
def media_type(content_type: str | None) -> str:
    """Return the media type, its parameters left out (RFC 9110, 8.3.1); empty if there is none."""
    return "" if content_type is None else content_type.partition(";")[0].strip().lower()
