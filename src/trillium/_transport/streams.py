"""Bytes over one TCP connection, as fast as trio lets them go.

`trio.SocketStream` is left out of the hot path: here a request costs one wait in the scheduler,
since what fits into the kernel's buffer is sent without one, and neither a lock nor a cancel
scope is entered.
"""

from __future__ import annotations

import socket
from typing import Final, Protocol, final

import trio

from trillium._transport.readiness import Readable, Readiness

RECEIVE_BYTES: Final = 64 * 1024
"""How much is read at a time: what the kernel's buffer holds is rarely more."""


class Stream(Protocol):
    """A connected stream of bytes, used by one task at a time."""

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`. Waits only where the kernel's buffer is full; no schedule point else.

        Raises:
            OSError: The connection is broken; some of `data` has not left.
            trio.ClosedResourceError: Another task closed the stream.
        """

    async def receive(self) -> bytes:
        """Return what has come, at least a byte; `b""` where the peer ended the stream.

        Raises:
            OSError: The connection is broken; or it ended, and the peer did not say so.
            trio.ClosedResourceError: Another task closed the stream.
        """

    def readable(self, readiness: Readiness) -> Readable | None:
        """Return what tells, from now on, when there is something to receive; None if nothing can.

        It is the same one each time.
        """

    def receive_ready(self) -> bytes | None:
        """As `receive`; None where that would wait. After `readable` gave what tells it."""

    def is_quiet(self) -> bool:
        """Whether the peer has neither closed nor sent anything. Never waits."""

    def close(self) -> None:
        """Close at once; idempotent."""


@final
class TcpStream:
    """A connected, non-blocking TCP socket, which this object owns from now on."""

    __slots__ = ("_readable", "_readiness", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._readiness: Readiness | None = None
        self._readable: Readable | None = None

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`; see `Stream`."""
        # 0.2 µs, so that a request that was cancelled already is not sent, and paid for.
        await trio.lowlevel.checkpoint_if_cancelled()
        sock = self._sock
        try:
            sent = sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        with memoryview(data) as view:
            while sent < len(data):
                await trio.lowlevel.wait_writable(sock)
                sent += self.send_nowait(view[sent:])

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes; return how many bytes that were."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def receive(self) -> bytes:
        """Return what has come; see `Stream`."""
        sock = self._sock
        if self._readable is not None:
            return await self._receive_told(self._readable)
        while True:
            try:
                await trio.lowlevel.wait_readable(sock)
            except ValueError:  # epoll's, of a socket that was closed before
                raise trio.ClosedResourceError("another task closed the stream") from None
            try:
                return sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue

    def readable(self, readiness: Readiness) -> Readable | None:
        """Return what tells when there is something to receive; see `Stream`."""
        if self._readable is None:
            self._readiness = readiness
            self._readable = readiness.watch(self._sock)
        return self._readable

    def receive_ready(self) -> bytes | None:
        """As `receive`; None where that would wait. After `readable` gave what tells it."""
        readable = self._readable
        assert readable is not None
        if not readable.ready:
            return None
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            readable.ready = False
            return None
        if len(data) < RECEIVE_BYTES and not readable.ends:
            readable.ready = False
        return data

    def note_end(self) -> None:
        """Note that the end has come, though it is not the socket's: there is no news of it."""
        if self._readable is not None:
            self._readable.ready = self._readable.ends = True

    async def _receive_told(self, readable: Readable) -> bytes:
        while True:
            await readable.wait()
            if self._sock.fileno() == -1:
                raise trio.ClosedResourceError("another task closed the stream")
            if (data := self.receive_ready()) is not None:
                return data

    def receive_nowait(self) -> bytes | None:
        """Return what has come, `b""` at the end, None if nothing has."""
        try:
            return self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None

    def is_quiet(self) -> bool:
        """Whether the peer has neither closed nor sent anything."""
        try:
            return self.receive_nowait() is None
        except OSError:
            return False

    def close(self) -> None:
        """Close at once; a task that waits on the stream gets `trio.ClosedResourceError`."""
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            if self._readiness is not None:
                self._readiness.forget(self._sock)
            self._sock.close()
            if self._readable is not None:
                self._readable.close()
