"""Which sockets have something to read: one task learns it for all the streams of a client.

To wait for a socket in trio's loop costs two calls of the kernel and a turn of the task that
waits, each time. Streams are waited on for each of their chunks, by the hundred; so their sockets
stand in an epoll of the client's own, once and for good, and one task waits for that. It calls
whoever listens to a socket, who reads it there and then, and wakes its task when there is
something for it.

Events are edges (epoll(7)): news are told once. So a `Readable` remembers them until a read has
emptied the kernel's buffer.

```text
                     edge                              read less than there was room for
  not ready ────────────────────▶ ready ──────────────────────────────────────────────▶ not ready
                                  ready, the peer has ended ──▶ ready: the end is to be read, too
```
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable
from typing import Final, final

import trio

IS_AVAILABLE: Final = sys.platform == "linux"
"""Elsewhere there is no epoll, and streams wait in trio's loop."""

if sys.platform == "linux":
    _EDGES: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
    _ENDS: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


@final
class Readable:
    """What is known of one socket."""

    __slots__ = ("ends", "listener", "ready")

    def __init__(self) -> None:
        self.ready: bool = False
        """Whether a read may bring something."""
        self.ends: bool = False
        """Whether the peer has ended its side, or the connection broke: nothing tells it again."""
        self.listener: Callable[[], object] | None = None
        """Called, once, when it becomes ready; it must not raise."""

    def tell(self) -> None:
        """Note that a read may bring something, and call the listener."""
        self.ready = True
        if (listener := self.listener) is not None:
            self.listener = None
            listener()

    def close(self) -> None:
        """Have the listener find out that the socket is closed."""
        self.ends = True
        self.tell()

    async def wait(self) -> None:
        """Return when a read may bring something. A checkpoint."""
        if self.ready:
            await trio.lowlevel.checkpoint()
            return
        task = trio.lowlevel.current_task()
        self.listener = lambda: trio.lowlevel.reschedule(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self.listener = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)


@final
class Readiness:
    """The sockets of one client, and the task that waits for all of them.

    Args:
        start: Starts `run` in the owner's nursery; called once, when there is a socket. Then the
            owner calls `stop` at the end: what is around it may be cancelled long before, and
            who reads in a shielded scope would wait for ever.
    """

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start
        self._sockets: dict[int, Readable] = {}
        self._epoll: select.epoll | None = None
        self._scope = trio.CancelScope(shield=True)

    def watch(self, sock: socket.socket) -> Readable | None:
        """Return what is known of a socket from now on, until it is closed.

        None where the system has no more room for what it would take.
        """
        try:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._start()
            # What has come before is news, too. A socket that is closed leaves by itself.
            self._epoll.register(sock, _EDGES)
        except (OSError, ValueError):  # the second, of one that was stopped
            return None
        readable = self._sockets[sock.fileno()] = Readable()
        return readable

    def forget(self, sock: socket.socket) -> None:
        """Let go of a socket that is about to be closed."""
        self._sockets.pop(sock.fileno(), None)

    def stop(self) -> None:
        """End `run`."""
        self._scope.cancel()

    async def run(self) -> None:
        """Tell listeners, until `stop`."""
        epoll, sockets = self._epoll, self._sockets
        assert epoll is not None
        with epoll, self._scope:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                for number, event in epoll.poll(0):
                    # A listener may have closed one that comes after it.
                    if (readable := sockets.get(number)) is not None:
                        if event & _ENDS:
                            readable.ends = True
                        readable.tell()
