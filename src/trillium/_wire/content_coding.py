"""Content codings: undoes the `Content-Encoding` of a body, chunk by chunk and within a bound.

We ask for `identity`, since a compressing server or gateway tends to hold back a stream until a
block is full; some compress all the same. Known are gzip (RFC 1952, several members in a row
too) and deflate, which is meant to be in a zlib wrapper (RFC 1950) and comes bare (RFC 1951) from
servers that read the name literally (RFC 9110, 8.4.1). What was not asked for and is not known,
as br and zstd, is an error rather than garbage in somebody's answer.

All that can be decoded of a chunk is given out at once, so that the events of a stream are not
held back a second time. A bomb is met by the bound: no coding in the list inflates more than
`max_bytes` before it is stopped, within one chunk too.
"""

from __future__ import annotations

import enum
import sys
import zlib
from typing import Final, final

import attrs

from trillium.errors import ErrorKind, LocalProtocolError, RemoteProtocolError, quote

MAX_CODINGS: Final = 4
"""How many codings one body may have; one is normal, and each may inflate a thousandfold."""

_SLICE_BYTES: Final = 8 * 1024
"""How much goes into zlib at once. It copies what is behind the end of a member, so a chunk of
thousands of empty members would be copied as often: this bounds the copy."""

_GZIP_FIRST_BYTE: Final = 0x1F
_ZLIB_METHOD: Final = 8
"""Low half of the first byte of a zlib stream (RFC 1950, 2.2). A bare deflate stream that begins
with it would be a stored block with padding that is not zero, which no encoder makes."""


class _Coding(enum.Enum):
    GZIP = "gzip"
    DEFLATE = "deflate"


_NAMES: Final = {"gzip": _Coding.GZIP, "x-gzip": _Coding.GZIP, "deflate": _Coding.DEFLATE}


def content_decoder(content_encoding: str, *, max_bytes: int) -> ContentDecoder | None:
    """Return what undoes a `Content-Encoding`, or None where there is nothing to undo.

    Args:
        content_encoding: The header's value, empty if absent; of several headers, the values
            joined by commas. The coding applied last stands last.
        max_bytes: Most bytes that a body may hold once decoded, at least 1.

    Raises:
        RemoteProtocolError: A coding is not known, or there are more than `MAX_CODINGS`.
        ValueError: `max_bytes` is below 1.
    """
    if max_bytes < 1:
        raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
    names = [name.strip(" \t").lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in {"", "identity"}]
    if not names:
        return None
    if len(names) > MAX_CODINGS:
        raise RemoteProtocolError(
            f"the body is encoded {len(names)} times over, more than {MAX_CODINGS}: "
            f"Content-Encoding: {quote(content_encoding)}"
        )
    if unknown := [name for name in names if name not in _NAMES]:
        raise RemoteProtocolError(
            f"the body has Content-Encoding {quote(unknown[-1])!r}, which was not asked for and "
            "cannot be decoded (gzip and deflate can): a proxy may have added it"
        )
    return ContentDecoder(
        [_Layer(coding=_NAMES[name], max_bytes=max_bytes) for name in reversed(names)]
    )


@final
@attrs.define(eq=False, repr=False)
class ContentDecoder:
    """Undoes the content codings of one body; made by `content_decoder`.

    Takes time linear in the bytes fed and given out; holds at most `max_bytes` for each coding.
    """

    _layers: list[_Layer]
    """In the order of decoding: the coding applied last comes first."""
    _closed: bool = attrs.field(default=False, init=False)

    def feed(self, chunk: bytes) -> bytes:
        """Return all that can be decoded with `chunk`; empty if that is nothing yet.

        Raises:
            RemoteProtocolError: The bytes are no such coding, or go on behind its end (kind
                `protocol_error`), or the body passed `max_bytes` (kind `response_too_large`).
                The decoder is closed then.
            LocalProtocolError: The decoder is closed.
        """
        if self._closed:
            raise LocalProtocolError("a content decoder was fed after it had been closed")
        try:
            for layer in self._layers:
                chunk = layer.feed(chunk)
        except RemoteProtocolError:
            self._closed = True
            raise
        return chunk

    def close(self) -> bytes:
        """Take note that the body has ended; closing again does nothing.

        A body of no bytes at all is taken for an empty one, as servers send it with 204.

        Returns:
            What had been held back: nothing for gzip and deflate, which give out all at once.

        Raises:
            RemoteProtocolError: The end of the coding has not come (kind `truncated`).
        """
        if not self._closed:
            self._closed = True
            for layer in self._layers:
                layer.close()
        return b""


@final
@attrs.define(kw_only=True, eq=False, repr=False)
class _Layer:
    """One coding of a body."""

    coding: _Coding
    max_bytes: int
    _room: int = attrs.field(init=False)
    """How many more bytes may come out."""
    _stream: zlib._Decompress | None = attrs.field(default=None, init=False)
    """None between two members, and before the first byte."""
    _ended: bool = attrs.field(default=False, init=False)
    """A member has ended."""

    def __attrs_post_init__(self) -> None:
        self._room = min(self.max_bytes, sys.maxsize - 1)  # zlib takes one more, as a C number

    def feed(self, chunk: bytes) -> bytes:
        pieces = []
        for start in range(0, len(chunk), _SLICE_BYTES):
            rest = chunk[start : start + _SLICE_BYTES]
            while rest:
                stream = self._stream or self._begin(rest[0])
                try:
                    # Never unlimited, which would be 0; what fits has used up all of `rest`.
                    piece = stream.decompress(rest, self._room + 1)
                except zlib.error as error:
                    raise RemoteProtocolError(
                        f"the body is not the {self.coding.value} that its Content-Encoding says: "
                        f"{error}"
                    ) from error
                self._room -= len(piece)
                if self._room < 0:
                    raise RemoteProtocolError(
                        f"the body is longer than {self.max_bytes:,} bytes once its "
                        f"{self.coding.value} is decoded",
                        kind=ErrorKind.RESPONSE_TOO_LARGE,
                    )
                pieces.append(piece)
                self._ended = stream.eof
                self._stream = None if stream.eof else stream
                rest = stream.unused_data
        return b"".join(pieces)

    def close(self) -> None:
        if self._stream is not None:
            raise RemoteProtocolError(
                f"the body was cut: its {self.coding.value} has no end", kind=ErrorKind.TRUNCATED
            )

    def _begin(self, first: int) -> zlib._Decompress:
        if self._ended and (self.coding is not _Coding.GZIP or first != _GZIP_FIRST_BYTE):
            raise RemoteProtocolError(f"the body goes on behind its {self.coding.value}'s end")
        if self.coding is _Coding.GZIP:
            return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        if first & 0x0F == _ZLIB_METHOD:
            return zlib.decompressobj(wbits=zlib.MAX_WBITS)
        return zlib.decompressobj(wbits=-zlib.MAX_WBITS)
