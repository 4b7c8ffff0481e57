"""New TCP connections: happy eyeballs (RFC 8305) over addresses that are known already."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

import trio

from trillium._transport.resolve import Address

HAPPY_EYEBALLS_DELAY_S: Final = 0.25
"""Seconds after which the next address is tried beside the ones before (RFC 8305, 5)."""

KEEP_ALIVE_S: Final = 60
"""Seconds of silence after which TCP probes the peer, and between probes: while a model thinks
for minutes, routers forget a silent connection (350 s at AWS), and nobody would notice."""

_KEEP_ALIVE_PROBES: Final = 5
_IN_PROGRESS: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK})


async def connect(addresses: list[Address]) -> socket.socket:
    """Return a socket that is connected to the first of the addresses that answers.

    Raises:
        OSError: None did; the reason is the first one's.
    """
    if len(addresses) == 1:
        return await _connect_to(addresses[0])
    connected: list[socket.socket] = []
    failures: list[OSError] = []

    async def attempt(address: Address, failed: trio.Event) -> None:
        try:
            sock = await _connect_to(address)
        except OSError as error:
            failures.append(error)
            failed.set()
            return  # noqa: ASYNC910  # a failed connection was one
        connected.append(sock)
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(HAPPY_EYEBALLS_DELAY_S):
                    await failed.wait()
        if connected:
            return connected.pop(0)
        raise failures[0]
    finally:
        # Those that came second in the same tick; or all, where the caller was cancelled.
        for sock in connected:
            sock.close()


async def _connect_to(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _set_options(sock)
        code = sock.connect_ex(address.sockaddr)
        if code in _IN_PROGRESS:
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        else:
            await trio.lowlevel.checkpoint()
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has these; macOS calls the first one TCP_KEEPALIVE.
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_S),
        ("TCP_KEEPALIVE", KEEP_ALIVE_S),
        ("TCP_KEEPINTVL", KEEP_ALIVE_S),
        ("TCP_KEEPCNT", _KEEP_ALIVE_PROBES),
    ):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
