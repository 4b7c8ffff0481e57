"""Header fields as they came: names in lower case, values as they are (RFC 9110, 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import attrs


@final
@attrs.define
class Headers:
    """The header fields of a response, in order.

    Kept raw, since most are never looked at.
    """

    raw: list[tuple[bytes, bytes]]
    """Names in lower case."""

    @classmethod
    def of(cls, fields: Iterable[tuple[str, str]]) -> Headers:
        """Make headers from text."""
        return cls([(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in fields])

    def get(self, name: bytes) -> str | None:
        """Return the value of the first field of this (lower-case) name, or None."""
        for key, value in self.raw:
            if key == name:
                return value.decode("latin-1")
        return None
