"""TLS over a `TcpStream`, by OpenSSL between two memory buffers.

`trio.SSLStream` does the same and more (renegotiation, a reader and a writer at a time, close
handshakes): none of that is needed for HTTP/1.1, and its locks and checkpoints cost as much as
the rest of a request.
"""

from __future__ import annotations

import os
import ssl
from typing import Final, final

from trillium._transport.readiness import Readable, Readiness
from trillium._transport.streams import RECEIVE_BYTES, TcpStream

_HTTP_1_1: Final = ["http/1.1"]


def default_ssl_context() -> ssl.SSLContext:
    """Return a context as httpx makes them: `SSL_CERT_FILE`, `SSL_CERT_DIR`, or certifi's bundle.

    Takes about 20 ms, so it is made once, at the first TLS connection.
    """
    if file := os.environ.get("SSL_CERT_FILE"):
        context = ssl.create_default_context(cafile=file)
    elif directory := os.environ.get("SSL_CERT_DIR"):
        context = ssl.create_default_context(capath=directory)
    else:
        # Here, since most programs that are imported never speak TLS by default.
        import certifi  # noqa: PLC0415

        context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(_HTTP_1_1)
    return context


@final
class TlsStream:
    """A TLS client on a TCP connection, which it owns."""

    __slots__ = ("_ended", "_incoming", "_outgoing", "_tcp", "_tls", "_unsent")

    def __init__(self, tcp: TcpStream, context: ssl.SSLContext, *, host: str) -> None:
        self._tcp = tcp
        self._ended = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""
        """What the socket did not take of what OpenSSL says of its own."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def handshake(self) -> None:
        """Agree on keys, and verify the peer.

        Raises:
            ssl.SSLCertVerificationError: The peer's certificate is not good for the host.
            OSError: The peer does not speak TLS, or the connection broke.
            trio.ClosedResourceError: Another task closed the stream.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._refill()
            except ssl.SSLError:
                # The alert that says why belongs to the peer, if it fits.
                self._flush_nowait()
                raise
            else:
                await self._flush()
                return

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`; see `Stream`."""
        self._tls.write(data)
        await self._flush()

    async def receive(self) -> bytes:
        """Return what has come; see `Stream`. An end without `close_notify` is an `OSError`."""
        while not self._ended:
            # Asking OpenSSL first costs an exception in the usual case, where nothing is there.
            if (self._incoming.pending or self._tls.pending()) and (data := self._decrypt()):
                return data  # noqa: ASYNC910  # what has come already costs no turn
            if not self._ended:
                # OpenSSL may have something to say of its own: a key update, an alert.
                if self._outgoing.pending:
                    await self._flush()
                await self._refill()
        return b""  # noqa: ASYNC910  # nor does the end

    def readable(self, readiness: Readiness) -> Readable | None:
        """Return what tells when there is something to receive; see `Stream`."""
        readable = self._tcp.readable(readiness)
        if self._ended:
            self._tcp.note_end()
        return readable

    def receive_ready(self) -> bytes | None:
        """As `receive`; None where that would wait; see `Stream`."""
        while not self._ended:
            if (self._incoming.pending or self._tls.pending()) and (data := self._decrypt()):
                if self._ended:
                    self._tcp.note_end()
                return data
            if not self._ended:
                self._flush_nowait()
                if (received := self._tcp.receive_ready()) is None:
                    return None
                self._take_in(received)
        return b""

    def _decrypt(self) -> bytes:
        """Return what the records that have come whole hold; empty if none has, or at the end."""
        pieces: list[bytes] = []
        try:
            # A record at a time, 16 KiB at most.
            while self._incoming.pending or self._tls.pending():
                piece = self._tls.read(RECEIVE_BYTES)
                if not piece:  # `close_notify`
                    self._ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def is_quiet(self) -> bool:
        """Whether the peer has neither closed nor sent anything.

        Session tickets and key updates may come at any time; they are taken in.
        """
        try:
            while (data := self._tcp.receive_nowait()) is not None:
                if not data:
                    return False
                self._incoming.write(data)
            if self._incoming.pending:
                self._tls.read(1)
                return False
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close at once; says `close_notify` if that fits, and never waits for the peer's."""
        try:
            self._tls.unwrap()
        except (OSError, ValueError):
            pass  # WantRead as a rule: the peer has not said it yet
        self._flush_nowait()
        self._tcp.close()

    async def _flush(self) -> None:
        unsent, self._unsent = self._unsent, b""
        await self._tcp.send(unsent + self._outgoing.read())

    def _flush_nowait(self) -> None:
        if self._unsent or self._outgoing.pending:
            data = self._unsent + self._outgoing.read()
            try:
                self._unsent = data[self._tcp.send_nowait(data) :]
            except OSError:
                pass  # broken or closed already: there is nobody to tell

    async def _refill(self) -> None:
        self._take_in(await self._tcp.receive())

    def _take_in(self, data: bytes) -> None:
        if not data:
            # RFC 8446, 6.1: without `close_notify` anybody may have ended it.
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the TLS connection was cut")
        self._incoming.write(data)
