"""One suite over all ways to have an exchange: real sockets, and servers that misbehave.

The ways: our pool; our pool, read when its sockets are told to be ready, as streams are; httpx with
its own sockets; and our pool through httpx through our adapter.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import zlib
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing
import trustme

from tests.checkpoints import cancel_at_every_checkpoint
from tests.transport.servers import always, answer, serving
from trillium._transport.exchange import Transport
from trillium._transport.httpx_pool import PoolTransport
from trillium._transport.httpx_transport import HttpxTransport
from trillium._transport.pool import Pool
from trillium._transport.readiness import IS_AVAILABLE, Readiness
from trillium.errors import (
    ClientClosedError,
    ConnectionBrokenError,
    ErrorKind,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
)

WAYS = ("pool", *(["pool, told"] if IS_AVAILABLE else []), "httpx", "pool in httpx")
MAX = 10_000_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class ToldExchange:
    """An exchange whose body is received when it is there."""

    def __init__(self, exchange, readiness):
        self._exchange = exchange
        self._readiness = readiness
        exchange.readable(readiness)

    def __getattr__(self, name):
        return getattr(self._exchange, name)

    async def receive(self):
        await trio.lowlevel.checkpoint_if_cancelled()
        if (readable := self._exchange.readable(self._readiness)) is None:
            return await self._exchange.receive()
        while (piece := self._exchange.receive_ready()) is None:
            try:
                await readable.wait()
            except trio.Cancelled:
                await self._exchange.aclose()
                raise
        return piece


class ToldPool:
    """A pool of such exchanges."""

    def __init__(self, pool, readiness):
        self._pool = pool
        self._readiness = readiness

    def __getattr__(self, name):
        return getattr(self._pool, name)

    async def send(self, target, body):
        return ToldExchange(await self._pool.send(target, body), self._readiness)


@asynccontextmanager
async def told(pool):
    async with trio.open_nursery() as nursery:
        readiness = Readiness(lambda: nursery.start_soon(readiness.run))
        yield ToldPool(pool, readiness)
        readiness.stop()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def opened(way, client_tls, **bounds):
    """Open a transport; everything is closed at the end, what is the user's by the user."""
    if way == "pool, told":
        async with opened("pool", client_tls, **bounds) as pool, told(pool) as told_pool:
            yield told_pool
        return
    theirs: httpx.AsyncClient | httpx.AsyncBaseTransport | None = None
    if way == "httpx":
        theirs = httpx.AsyncClient(
            verify=client_tls,
            trust_env=False,
            # As few people know to say it, and without which it drops connections.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )
    elif way == "pool in httpx":
        theirs = PoolTransport(ssl_context=client_tls, **bounds)
    transport: Transport = (
        Pool(ssl_context=client_tls, **bounds)
        if theirs is None
        else HttpxTransport(theirs, **bounds)
    )
    try:
        yield transport
    finally:
        await transport.aclose()
        if theirs is not None:
            await theirs.aclose()


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
async def transport(way, client_tls):
    async with opened(way, client_tls) as transport:
        yield transport


async def read(transport, target, body=b"{}"):
    exchange = await transport.send(target, body)
    try:
        return exchange.status, await exchange.read(MAX)
    finally:
        await exchange.aclose()


async def all_closed(transport, server):
    """Wait until nothing is connected; the user's client may keep what came to its end."""
    if isinstance(transport, HttpxTransport):
        await transport._client.aclose()
    await server.wait_gone()


async def error_of(transport, target, body=b"{}"):
    with pytest.raises((ConnectionBrokenError, RemoteProtocolError)) as caught:
        await read(transport, target, body)
    assert "sk-1" not in str(caught.value)
    return caught.value


# -------------------------------------------------------------------------------- answers


async def test_a_request_arrives_as_it_was_given(transport):
    seen = []

    async def handler(connection):
        seen.append(await connection.request())
        await connection.send(answer(b"hi", b"X-Id: a", b"x-id: b"))

    async with serving(handler) as server:
        exchange = await transport.send(server.target(path="/v1/chat?x=%20y"), b'{"a":1}')
        assert exchange.status == 200
        assert exchange.sends == 1
        assert exchange.headers.get(b"x-id") == "a"
        assert [v for k, v in exchange.headers.raw if k == b"x-id"] == [b"a", b"b"]
        assert exchange.headers.get(b"x-other") is None
        assert await exchange.read(MAX) == b"hi"
        assert exchange.complete
        assert await exchange.receive() == b""
        await exchange.aclose()
        await exchange.aclose()
    [request] = seen
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat?x=%20y HTTP/1.1\r\n")
    lines = {line.lower() for line in head.split(b"\r\n")[1:]}
    assert {
        b"host: 127.0.0.1:%d" % server.port,
        b"authorization: bearer sk-1",
        b"accept-encoding: identity",
        b"content-length: 7",
    } <= lines
    assert body == b'{"a":1}'


async def test_a_connection_serves_one_exchange_after_the_other(transport):
    async with serving(always(answer(b"hello"))) as server:
        target = server.target()
        for _ in range(5):
            assert await read(transport, target) == (200, b"hello")
        assert server.connections == 1


@pytest.mark.parametrize("status", [b"302 Found\r\nLocation: /x", b"429 Slow", b"500 Oops"])
async def test_every_status_is_an_answer_and_no_redirect_is_followed(transport, status):
    async with serving(always(answer(b"why", status=status))) as server:
        assert await read(transport, server.target()) == (int(status[:3]), b"why")
        assert server.connections == 1


async def test_a_get_and_an_answer_without_content(transport):
    async with serving(always(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
        for _ in range(2):
            assert await read(transport, server.target(method="GET"), b"") == (204, b"")


async def test_interim_answers_are_skipped(transport):
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    async with serving(always(early, answer(b"hi"))) as server:
        assert await read(transport, server.target()) == (200, b"hi")


async def test_an_answer_may_come_byte_by_byte(transport):
    wire = CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n"
    async with serving(always(*[bytes([byte]) for byte in wire])) as server:
        for _ in range(2):
            assert await read(transport, server.target()) == (200, b"abcde")


async def test_pieces_are_given_out_as_they_come(transport):
    async def handler(connection):
        await connection.request()
        await connection.send(CHUNKED)
        for _ in range(3):
            await connection.send(b"2\r\nab\r\n")
            await taken.wait()
        await connection.send(b"0\r\n\r\n")

    taken = trio.Event()
    async with serving(handler) as server:
        exchange = await transport.send(server.target(), b"{}")
        assert not exchange.complete
        assert await exchange.receive() == b"ab"
        taken.set()
        assert await exchange.read(MAX) == b"abab"
        await exchange.aclose()


async def test_a_body_without_a_length_ends_with_the_connection(transport):
    async with serving(always(b"HTTP/1.0 200 OK\r\n\r\n", b"hello", close=True)) as server:
        for _ in range(2):
            assert await read(transport, server.target()) == (200, b"hello")
        assert server.connections == 2


async def test_connection_close_is_kept(transport):
    handler = always(answer(b"hi", b"Connection: close"), close=True)
    async with serving(handler) as server:
        for _ in range(2):
            assert await read(transport, server.target()) == (200, b"hi")
        assert server.connections == 2


async def test_large_bodies_go_both_ways(transport):
    """Larger than the kernel's buffers: sending has to wait for the server."""
    sent = b"x" * 12_000_000

    async def handler(connection):
        request = await connection.request()
        await connection.send(answer(request.partition(b"\r\n\r\n")[2]))

    async with serving(handler) as server:
        exchange = await transport.send(server.target(), sent)
        assert await exchange.read(len(sent)) == sent
        await exchange.aclose()


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        (b"gzip", gzip.compress(b"hello ", mtime=0) + gzip.compress(b"world", mtime=0)),
        (b"deflate", zlib.compress(b"hello world")),
        (b"identity", b"hello world"),
    ],
)
async def test_content_codings_are_undone(transport, coding, encoded):
    async with serving(always(answer(encoded, b"Content-Encoding: " + coding))) as server:
        assert await read(transport, server.target()) == (200, b"hello world")


async def test_a_body_that_is_not_its_coding_is_an_error(transport):
    async with serving(always(answer(b"no gzip", b"Content-Encoding: gzip"))) as server:
        error = await error_of(transport, server.target())
        assert error.kind is ErrorKind.PROTOCOL_ERROR
        await all_closed(transport, server)


# ---------------------------------------------------------------------- what servers break


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhel",
    ],
)
async def test_a_cut_body_is_an_error(transport, cut):
    async with serving(always(cut, close=True)) as server:
        error = await error_of(transport, server.target())
        assert error.kind is ErrorKind.TRUNCATED
        assert error.attempts == 1
        await all_closed(transport, server)


async def test_a_reset_in_the_body_is_a_cut(transport):
    async def handler(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await trio.testing.wait_all_tasks_blocked()
        await connection.reset()

    async with serving(handler) as server:
        assert (await error_of(transport, server.target())).kind is ErrorKind.TRUNCATED


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_an_end_before_the_head_is_a_broken_connection(transport, start, how):
    async def handler(connection):
        await connection.request()
        if start:
            await connection.send(start)
        if how == "resets":
            await connection.reset()

    async with serving(handler) as server:
        error = await error_of(transport, server.target())
        assert error.kind is ErrorKind.CONNECTION_FAILED
        assert (error.attempts, error.abandoned) == (1, 1)
        await all_closed(transport, server)


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\r\n\r\n",
        b"<html></html>" * 9 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
async def test_garbage_is_a_protocol_error(transport, garbage):
    async with serving(always(garbage, close=True)) as server:
        error = await error_of(transport, server.target())
        assert isinstance(error, RemoteProtocolError)
        assert error.kind is ErrorKind.PROTOCOL_ERROR
        await all_closed(transport, server)


async def test_headers_have_a_bound(transport):
    huge = b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 300_000 + b"\r\n\r\n"
    async with serving(always(huge)) as server:
        error = await error_of(transport, server.target())
        assert error.kind is ErrorKind.RESPONSE_TOO_LARGE
        await all_closed(transport, server)


async def test_a_body_has_the_transport_s_bound(way, client_tls):
    async with (
        opened(way, client_tls, max_body_bytes=1000) as transport,
        serving(always(answer(b"x" * 1001))) as server,
    ):
        error = await error_of(transport, server.target())
        assert error.kind is ErrorKind.RESPONSE_TOO_LARGE
        await all_closed(transport, server)


async def test_a_decoded_body_has_the_transport_s_bound(way, client_tls):
    bomb = answer(gzip.compress(b"x" * 100_000), b"Content-Encoding: gzip")
    async with (
        opened(way, client_tls, max_body_bytes=10_000) as transport,
        serving(always(bomb)) as server,
    ):
        error = await error_of(transport, server.target())
        assert error.kind is ErrorKind.RESPONSE_TOO_LARGE


async def test_a_reader_has_a_bound_of_its_own(transport):
    async with serving(always(CHUNKED + b"6\r\nabcdef\r\n", b"0\r\n\r\n")) as server:
        exchange = await transport.send(server.target(), b"{}")
        with pytest.raises(RemoteProtocolError) as caught:
            await exchange.read(5)
        assert caught.value.kind is ErrorKind.RESPONSE_TOO_LARGE
        await exchange.aclose()


async def test_an_exchange_that_was_closed_has_no_more_of_its_body(transport):
    async with serving(always(CHUNKED + b"1\r\na\r\n")) as server:
        exchange = await transport.send(server.target(), b"{}")
        await exchange.aclose()
        assert not exchange.complete
        await all_closed(transport, server)
        with pytest.raises(LocalProtocolError):
            await exchange.receive()


@pytest.mark.parametrize("secure", [False, True])
async def test_an_exchange_that_is_cut_ends_the_wait_of_its_reader(
    way, client_tls, server_tls, secure
):
    async with (
        opened(way, client_tls) as transport,
        serving(
            always(CHUNKED + b"1\r\na\r\n"), ssl_context=server_tls if secure else None
        ) as server,
    ):
        exchange = await transport.send(server.target(), b"{}")
        assert await exchange.receive() == b"a"
        async with trio.open_nursery() as nursery:

            async def cut_it() -> None:
                await trio.testing.wait_all_tasks_blocked()
                exchange.cut()

            nursery.start_soon(cut_it)
            with pytest.raises(RemoteProtocolError) as caught:
                await exchange.receive()
        assert caught.value.kind is ErrorKind.TRUNCATED
        assert caught.value.abandoned == 1
        assert not exchange.complete
        exchange.cut()
        await exchange.aclose()
        early = await transport.send(server.target(), b"{}")
        assert await early.receive() == b"a"
        early.cut()
        with pytest.raises(RemoteProtocolError):
            await early.receive()
        await early.aclose()
        await all_closed(transport, server)


# ------------------------------------------------------------------- no connection, no host


async def test_a_port_where_nobody_listens_is_a_failed_connection(transport):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with serving(always()) as server:
            error = await error_of(transport, server.target(port=port))
    assert isinstance(error, ConnectionBrokenError)
    assert error.kind is ErrorKind.CONNECTION_FAILED
    assert (error.attempts, error.abandoned) == (0, 0)
    assert f"127.0.0.1:{port}" in str(error)


class Names(trio.abc.HostnameResolver):
    """A resolver that knows what it is told."""

    def __init__(self, known):
        self.known = known
        self.asked = 0

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002, PLR0917
        self.asked += 1
        await trio.lowlevel.checkpoint()
        known = self.known[host.decode() if isinstance(host, bytes) else host]
        if isinstance(known, Exception):
            raise known
        return [(f, socket.SOCK_STREAM, 6, "", (address, port)) for f, address in known]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


@pytest.fixture
async def names():
    resolver = Names({})
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver.known


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (socket.EAI_NONAME, ErrorKind.HOST_UNKNOWN),
        (socket.EAI_NODATA, ErrorKind.HOST_UNKNOWN),
        (socket.EAI_AGAIN, ErrorKind.CONNECTION_FAILED),
    ],
)
async def test_a_name_that_does_not_exist_is_told_from_one_that_nobody_could_tell(
    transport, names, code, kind
):
    names["nowhere.test"] = socket.gaierror(code, "told so")
    async with serving(always()) as server:
        error = await error_of(transport, server.target(host="nowhere.test"))
    assert isinstance(error, ConnectionBrokenError)
    assert (error.kind, error.attempts) == (kind, 0)
    assert "nowhere.test" in str(error)


async def test_the_next_address_is_tried_where_one_does_not_answer(transport, names):
    names["api.test"] = [(socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")]
    async with serving(always(answer(b"hi"))) as server:
        assert await read(transport, server.target(host="api.test")) == (200, b"hi")


async def test_a_header_that_would_make_two_is_refused(transport):
    async with serving(always(answer(b"hi"))) as server:
        with pytest.raises(InvalidRequestError) as caught:
            await transport.send(server.target(headers=(("A", "sk-1\r\nB: c"),)), b"")
        assert "sk-1" not in str(caught.value)
        assert server.connections == 0


async def test_a_closed_transport_says_so(transport):
    async with serving(always(answer(b"hi"))) as server:
        assert await read(transport, server.target()) == (200, b"hi")
        await transport.aclose()
        with pytest.raises(ClientClosedError):
            await transport.send(server.target(), b"")


# ------------------------------------------------------------------------------------ TLS


async def test_exchanges_go_over_tls(transport, server_tls):
    body = b"hello " * 20_000
    async with serving(always(answer(body)), ssl_context=server_tls) as server:
        for _ in range(3):
            assert await read(transport, server.target(), b"x" * 300_000) == (200, body)
        assert server.connections == 1


async def test_a_certificate_of_another_authority_is_refused(transport):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with serving(always(answer(b"hi")), ssl_context=context) as server:
        error = await error_of(transport, server.target())
        assert isinstance(error, ConnectionBrokenError)
        assert (error.kind, error.attempts) == (ErrorKind.CONNECTION_FAILED, 0)
        assert "certificate" in str(error).lower()
        await all_closed(transport, server)


async def test_a_server_without_tls_is_no_tls(transport):
    async def plain(connection):
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(plain) as server:
        error = await error_of(transport, server.target(scheme="https"))
    assert isinstance(error, ConnectionBrokenError)
    assert error.attempts == 0


# ------------------------------------------------------------------- many, and cancellation


async def test_many_exchanges_at_once_keep_apart(transport):
    async def echo(connection):
        while (request := await connection.request()) is not None:
            await connection.send(answer(request.partition(b"\r\n\r\n")[2]))

    async def worker(target, number):
        for turn in range(3):
            body = b"%d of %d" % (turn, number)
            assert await read(transport, target, body) == (200, body)

    async with serving(echo) as server:
        target = server.target()
        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(worker, target, number)
        assert server.connections <= 40


# Not httpx's own sockets: httpcore 1.0.9 leaves those of a cancelled connect to the collector.
@pytest.mark.parametrize("way", ["pool", "pool in httpx"])
@pytest.mark.parametrize("secure", [False, True])
async def test_cancelled_at_any_checkpoint_nothing_leaks(way, client_tls, server_tls, secure):
    async def handler(connection):
        while await connection.request() is not None:
            for piece in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n\r\n", b"ab", b"cd"):
                await connection.send(piece)
                await trio.lowlevel.checkpoint()

    async with serving(handler, ssl_context=server_tls if secure else None) as server:
        target = server.target()

        async def operation():
            async with opened(way, client_tls) as transport:
                assert await read(transport, target) == (200, b"abcd")
                assert await read(transport, target) == (200, b"abcd")

        async def after_each():
            await server.wait_gone()

        assert await cancel_at_every_checkpoint(operation, after_each) > 5


async def test_cancelled_at_any_checkpoint_the_transport_stays_usable(transport):
    async def handler(connection):
        while await connection.request() is not None:
            for piece in (CHUNKED, b"4\r\nabcd\r\n", b"0\r\n\r\n"):
                await connection.send(piece)
                await trio.testing.wait_all_tasks_blocked()

    async with serving(handler) as server:
        target = server.target()

        async def operation():
            assert await read(transport, target) == (200, b"abcd")

        async def after_each():
            assert await read(transport, target) == (200, b"abcd")
            assert server.open <= 2

        await cancel_at_every_checkpoint(operation, after_each)


async def test_cancelled_before_it_starts_nothing_is_sent(transport):
    async with serving(always(answer(b"hi"))) as server:
        target = server.target()
        assert await read(transport, target) == (200, b"hi")
        seen = []
        with trio.CancelScope() as scope:
            scope.cancel()
            seen.append(await transport.send(target, b"{}"))
        assert scope.cancelled_caught
        assert not seen
