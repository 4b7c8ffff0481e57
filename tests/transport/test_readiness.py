"""`_transport/readiness.py`: nothing that a socket brings is missed."""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import trustme
from hypothesis import given
from hypothesis import strategies as st

from trillium._transport.readiness import IS_AVAILABLE, Readable, Readiness
from trillium._transport.streams import RECEIVE_BYTES, TcpStream
from trillium._transport.tls import TlsStream

pytestmark = pytest.mark.skipif(not IS_AVAILABLE, reason="there is no epoll")

SIZES = st.sampled_from([1, 1000, RECEIVE_BYTES - 1, RECEIVE_BYTES, RECEIVE_BYTES + 1])


@asynccontextmanager
async def watching() -> AsyncIterator[Readiness]:
    async with trio.open_nursery() as nursery:
        readiness = Readiness(lambda: nursery.start_soon(readiness.run))
        yield readiness
        readiness.stop()
        nursery.cancel_scope.cancel()


def a_pair() -> tuple[TcpStream, socket.socket]:
    """Return a stream, and its peer; both ends have room for all that is sent here."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * RECEIVE_BYTES)
    return TcpStream(ours), theirs


def readable_of(stream: TcpStream, readiness: Readiness) -> Readable:
    readable = stream.readable(readiness)
    assert readable is not None
    return readable


async def received(stream: TcpStream, readable: Readable) -> bytes:
    while (data := stream.receive_ready()) is None:
        await readable.wait()
    return data


@given(
    sent=st.lists(st.tuples(SIZES, st.booleans()), max_size=6),
    ahead=st.booleans(),
    waits=st.booleans(),
)
def test_all_that_is_sent_is_received_however_it_is_told(
    sent: list[tuple[int, bool]], ahead: bool, waits: bool
) -> None:
    async def main() -> None:
        stream, peer = a_pair()
        expected = b"".join(bytes([index]) * size for index, (size, _) in enumerate(sent))
        got = bytearray()

        async def send() -> None:
            for index, (size, pauses) in enumerate(sent):
                left = bytes([index]) * size
                while left:
                    await trio.lowlevel.wait_writable(peer)
                    left = left[peer.send(left) :]
                if pauses:
                    await trio.testing.wait_all_tasks_blocked(0.002)
            peer.close()

        async def receive() -> None:
            async with watching() as readiness:
                readable = readable_of(stream, readiness)
                while data := await (stream.receive() if waits else received(stream, readable)):
                    got.extend(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            if ahead:
                await trio.testing.wait_all_tasks_blocked(0.002)
            nursery.start_soon(receive)
        assert got == expected
        stream.close()

    trio.run(main)


async def test_an_end_that_comes_with_the_last_bytes_is_told() -> None:
    async with watching() as readiness:
        stream, peer = a_pair()
        readable = readable_of(stream, readiness)
        peer.send(b"last")
        peer.close()
        await readable.wait()
        assert stream.receive_ready() == b"last"
        assert stream.receive_ready() == b""
        stream.close()


async def test_a_listener_is_called_once_and_again_when_it_asks() -> None:
    async with watching() as readiness:
        stream, peer = a_pair()
        readable = readable_of(stream, readiness)
        told: list[bytes | None] = []

        def listen() -> None:
            told.append(stream.receive_ready())

        for text in (b"a", b"b", b"c"):
            if text != b"b":
                readable.listener = listen
            peer.send(text)
            await trio.testing.wait_all_tasks_blocked(0.002)
        assert told == [b"a", b"bc"]
        assert stream.receive_ready() is None
        stream.close()
        peer.close()


async def test_closing_tells_whoever_waits() -> None:
    async with watching() as readiness, trio.open_nursery() as nursery:
        stream, peer = a_pair()
        readable_of(stream, readiness)

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive()

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked(0.002)
        stream.close()
        peer.close()


async def test_a_wait_that_was_cancelled_is_waited_again() -> None:
    async with watching() as readiness:
        stream, peer = a_pair()
        readable = readable_of(stream, readiness)
        with trio.move_on_after(0) as scope:
            await stream.receive()
        assert scope.cancelled_caught
        assert readable.listener is None
        peer.send(b"here")
        assert await stream.receive() == b"here"
        stream.close()
        peer.close()


async def test_a_listener_may_close_a_socket_whose_news_come_with_its_own() -> None:
    async with watching() as readiness:
        pairs = [a_pair() for _ in range(2)]
        told: list[int] = []

        def closing(number: int) -> Callable[[], None]:
            def listen() -> None:
                told.append(number)
                other = pairs[1 - number][0]
                readables[1 - number].listener = None
                other.close()

            return listen

        readables = [readable_of(stream, readiness) for stream, _ in pairs]
        for number, readable in enumerate(readables):
            readable.listener = closing(number)
        for _, peer in pairs:
            peer.send(b"x")
        await trio.testing.wait_all_tasks_blocked(0.002)
        assert len(told) == 1
        for stream, peer in pairs:
            stream.close()
            peer.close()


async def test_a_socket_that_takes_the_number_of_one_that_was_closed_has_news_of_its_own() -> None:
    async with watching() as readiness:
        stream, peer = a_pair()
        number = stream._sock.fileno()
        readable_of(stream, readiness)
        peer.send(b"old")
        stream.close()
        again, other = a_pair()
        assert number in (again._sock.fileno(), other.fileno())
        readable = readable_of(again, readiness)
        await trio.testing.wait_all_tasks_blocked(0.002)
        assert not readable.ready
        other.send(b"new")
        assert await received(again, readable) == b"new"
        for sock in (again, peer, other):
            sock.close()


async def test_without_room_for_an_epoll_streams_wait_in_trios_loop() -> None:
    async with watching() as readiness:
        stream, peer = a_pair()
        bounds = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (stream._sock.fileno(), bounds[1]))
        try:
            assert stream.readable(readiness) is None
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, bounds)
        peer.send(b"still")
        assert await stream.receive() == b"still"
        stream.close()
        peer.close()


async def test_an_end_that_tls_tells_with_the_last_bytes_is_found_though_tcp_stays_open() -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("localhost").configure_cert(theirs)
    tcp, peer = a_pair()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = theirs.wrap_bio(incoming, outgoing, server_side=True)

    async def serve() -> None:
        while True:
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                peer.send(outgoing.read())
                await trio.lowlevel.wait_readable(peer)
                incoming.write(peer.recv(RECEIVE_BYTES))
            else:
                break
        peer.send(outgoing.read())

    stream = TlsStream(tcp, ours, host="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await stream.handshake()
    async with watching() as readiness:
        readable = stream.readable(readiness)
        assert readable is not None
        server.write(b"last")
        with pytest.raises(ssl.SSLWantReadError):
            server.unwrap()  # it says so, and waits for us to say it
        peer.send(outgoing.read())
        while (data := stream.receive_ready()) is None:
            await readable.wait()
        assert data == b"last"
        assert readable.ready
        assert stream.receive_ready() == b""
    stream.close()
    peer.close()
