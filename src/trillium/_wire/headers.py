"""Header fields as they came: names in lower case, values as they are (RFC 9110, 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

_LINE: Final = b"\r\n"


@final
class Headers:
    """The header fields of a response, in order.

    Of a response's fields hardly any is ever looked at, so a head is kept as it came. Looking
    for one field in it costs 0.5 µs, taking all of it apart 6.
    """

    __slots__ = ("_head", "_lower_head", "_raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        """Hold fields that have been taken apart: names in lower case."""
        self._raw: list[tuple[bytes, bytes]] | None = raw
        self._head = self._lower_head = b""

    @classmethod
    def of(cls, fields: Iterable[tuple[str, str]]) -> Headers:
        """Make headers from text."""
        return cls([(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in fields])

    @classmethod
    def of_head(cls, head: bytes, lower_head: bytes) -> Headers:
        """Make headers from a head that has been checked: its lines, the first one included."""
        headers = cls.__new__(cls)
        headers._raw = None
        headers._head = head
        headers._lower_head = lower_head
        return headers

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """All fields: names in lower case, values trimmed."""
        if self._raw is None:
            self._raw = fields_of(self._head)
        return self._raw

    def may_hold(self, text: bytes) -> bool:
        """Whether a (lower-case) text stands anywhere in the fields; False is certain."""
        return self._raw is not None or text in (self._lower_head or self._head.lower())

    def forget_lower(self) -> None:
        """Let go of what only makes `get` faster, where headers are to be kept."""
        self._lower_head = b""

    def get(self, name: bytes) -> str | None:
        """Return the value of the first field of this (lower-case) name, or None."""
        if self._raw is not None:
            for key, value in self._raw:
                if key == name:
                    return value.decode("latin-1")
            return None
        lower = self._lower_head or self._head.lower()
        start = lower.find(b"\r\n%b:" % name)
        if start < 0:
            return None
        start += len(name) + 3
        end = lower.find(_LINE, start)
        return self._head[start:end].strip(b" \t").decode("latin-1")


def fields_of(head: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of a head that has been checked: names in lower case, values trimmed."""
    fields = []
    for line in head.split(_LINE)[1:-1]:
        name, _, value = line.partition(b":")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields
