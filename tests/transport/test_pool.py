"""The pool: what is kept, what is noticed, and what is sent again."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trio
import trustme
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.checkpoints import cancel_at_every_checkpoint
from tests.transport.servers import always, answer, serving
from trillium._transport.exchange import Target
from trillium._transport.pool import MAX_TARGETS, Pool
from trillium.errors import (
    ClientClosedError,
    ConnectionBrokenError,
    ErrorKind,
    InvalidRequestError,
    RemoteProtocolError,
    RequestError,
)


@pytest.fixture
async def pool():
    pool = Pool()
    yield pool
    await pool.aclose()
    assert pool.open_connections == 0


async def read(pool, target, body=b"{}"):
    exchange = await pool.send(target, body)
    try:
        return exchange.sends, await exchange.read(10_000_000)
    finally:
        await exchange.aclose()


def closing_after(count, *, answer_first=b""):
    """Serve `count` requests on each connection, then close it without a word."""

    async def handler(connection):
        for _ in range(count):
            if await connection.request() is None:
                return
            await connection.send(answer(b"%d" % connection.number))
        await wait_all_tasks_blocked()
        if answer_first:
            await connection.send(answer_first)

    return handler


async def test_the_usual_answer_is_whole_and_its_connection_free_at_once(pool):
    async with serving(always(answer(b"hello"))) as server:
        exchange = await pool.send(server.target(), b"{}")
        assert pool.idle_connections == 1
        assert not exchange.complete
        assert await exchange.receive() == b"hello"
        assert exchange.complete


async def test_a_connection_closed_while_idle_is_replaced_and_the_request_sent_again(pool):
    """RFC 9112, 9.3.1. `sends` tells that the provider may have seen it twice."""
    async with serving(closing_after(1)) as server:
        target = server.target()
        assert await read(pool, target) == (1, b"0")
        await server.wait_gone()
        assert await read(pool, target) == (2, b"1")
        assert pool.open_connections == 1


async def test_a_request_is_sent_again_once_and_no_more(pool):
    async def handler(connection):
        await connection.request()
        if connection.number == 0:
            await connection.send(answer(b"hi"))
            await connection.request()

    async with serving(handler) as server:
        target = server.target()
        assert await read(pool, target) == (1, b"hi")
        with pytest.raises(ConnectionBrokenError) as caught:
            await read(pool, target)
        assert (caught.value.attempts, caught.value.abandoned) == (2, 2)
        assert server.connections == 2


async def test_a_request_is_not_sent_again_where_an_answer_began(pool):
    async def handler(connection):
        await connection.request()
        await connection.send(answer(b"hi"))
        await connection.request()
        await connection.send(b"HTTP/1.1 ")

    async with serving(handler) as server:
        target = server.target()
        assert await read(pool, target) == (1, b"hi")
        with pytest.raises(ConnectionBrokenError) as caught:
            await read(pool, target)
        assert (caught.value.attempts, caught.value.abandoned) == (1, 1)
        assert server.connections == 1


async def test_a_second_connection_that_fails_tells_of_the_first_send(pool):
    async with serving(closing_after(1)) as server:
        target = server.target()
        assert await read(pool, target) == (1, b"0")
        await server.wait_gone()
    with pytest.raises(ConnectionBrokenError) as caught:
        await read(pool, target)
    assert caught.value.kind is ErrorKind.CONNECTION_FAILED
    assert (caught.value.attempts, caught.value.abandoned) == (1, 1)


@pytest.mark.parametrize("last_words", [b"", answer(b"", status=b"408 Request Timeout")])
def test_a_connection_idle_for_long_is_looked_at_before_it_is_used(last_words):
    """What a server says to an idle connection is no answer to what is asked next."""

    async def main():
        pool = Pool()
        async with serving(closing_after(1, answer_first=last_words)) as server:
            target = server.target()
            assert await read(pool, target) == (1, b"0")
            await trio.sleep(2)
            assert await read(pool, target) == (1, b"1")
            await pool.aclose()
            assert server.connections == 2

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_idle_for_long_is_used_if_it_is_alive(secure):
    authority = trustme.CA()
    client_tls, server_tls = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(client_tls)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)

    async def main():
        pool = Pool(ssl_context=client_tls)
        handler = always(answer(b"hi"))
        async with serving(handler, ssl_context=server_tls if secure else None) as server:
            for _ in range(3):
                assert await read(pool, server.target()) == (1, b"hi")
                await trio.sleep(2)
            assert server.connections == 1
            await pool.aclose()
            await server.wait_gone()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_connections_idle_for_too_long_are_closed_when_the_next_is_used():
    async def main():
        pool = Pool(idle_expiry_s=10)
        async with serving(always(answer(b"hi"))) as server:
            target = server.target()
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(read, pool, target)
            many = pool.open_connections
            await trio.sleep(6)
            await read(pool, target)
            assert pool.open_connections == many
            await trio.sleep(6)
            # The one on top is young enough; those below it are not.
            assert await read(pool, target) == (1, b"hi")
            assert pool.open_connections == 1
            await trio.sleep(11)
            connections = server.connections
            await read(pool, target)
            assert server.connections == connections + 1
            await pool.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_no_more_are_kept_than_wanted():
    pool = Pool(max_idle=2)

    async def handler(connection):
        await connection.request()
        while server.connections < 5:
            await trio.lowlevel.checkpoint()
        await connection.send(answer(b"hi"))
        await connection.request()

    async with serving(handler) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(read, pool, server.target())
        assert pool.idle_connections == pool.open_connections == 2
        await pool.aclose()


async def test_each_origin_has_connections_of_its_own(pool):
    async with (
        serving(always(answer(b"one"))) as one,
        serving(always(answer(b"two"))) as two,
    ):
        for _ in range(2):
            assert await read(pool, one.target()) == (1, b"one")
            assert await read(pool, two.target()) == (1, b"two")
        assert one.connections == two.connections == 1


async def test_targets_that_come_and_go_are_forgotten(pool):
    async with serving(always(answer(b"hi"))) as server:
        for _ in range(3):
            await read(pool, server.target())
        for _ in range(MAX_TARGETS):
            pool._route(server.target())
        assert len(pool._routes) <= MAX_TARGETS
        assert await read(pool, server.target()) == (1, b"hi")


async def test_closing_the_pool_breaks_what_is_in_flight():
    pool = Pool()
    broken: list[RequestError] = []

    async def send(target):
        with pytest.raises(ConnectionBrokenError) as caught:
            await pool.send(target, b"{}")
        broken.append(caught.value)

    async def stream(target):
        exchange = await pool.send(target, b"{}")
        with pytest.raises(RemoteProtocolError) as caught:
            await exchange.read(1000)
        broken.append(caught.value)
        await exchange.aclose()

    async def handler(connection):
        request = await connection.request()
        if request.startswith(b"POST /stream "):
            await connection.send(b"HTTP/1.1 200 OK\r\n\r\nab")
        await connection.request()

    async with serving(handler) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, server.target())
            nursery.start_soon(stream, server.target(path="/stream"))
            await wait_all_tasks_blocked()
            await pool.aclose()
        await server.wait_gone()
    assert len(broken) == 2
    assert pool.open_connections == 0


async def test_a_server_that_does_not_read_the_whole_has_not_seen_it(pool):
    """RFC 9112, 9.5: such as one that answers 413 at once, and is gone."""

    async def handler(connection):
        await connection.stream.receive_some(10)
        await connection.send(answer(b"too long", status=b"413 Content Too Large"))
        await connection.reset()

    async with serving(handler) as server:
        try:
            exchange = await pool.send(server.target(), b"x" * 30_000_000)
        except ConnectionBrokenError as error:
            # A kernel may drop with the reset what had come before it.
            seen = (error.attempts, error.abandoned)
        else:
            seen = exchange.status
            await exchange.aclose()
        assert seen in (413, (1, 0))
        assert pool.open_connections == 0


async def test_a_scheme_that_is_not_http_is_refused(pool):
    target = Target(method="GET", scheme="ftp", host="a", port=21, path="/", headers=())
    with pytest.raises(InvalidRequestError):
        await pool.send(target, b"")


async def test_cancelled_while_sending_a_large_body_the_connection_closes(pool):
    async def handler(connection):
        await trio.sleep_forever()

    async with serving(handler) as server:
        with trio.move_on_after(0.05) as scope:
            await pool.send(server.target(), b"x" * 30_000_000)
        assert scope.cancelled_caught
        assert pool.open_connections == 0


async def test_an_exchange_costs_as_few_checkpoints_as_it_can(pool):
    """One wait for each exchange on an open connection, whose answer comes at once."""
    async with serving(always(answer(b"hi"))) as server:
        target = server.target()
        await read(pool, target)

        async def after_each():
            await read(pool, target)

        assert await cancel_at_every_checkpoint(lambda: read(pool, target), after_each) <= 2


# -------------------------------------------------------------------------------- TLS ends


@pytest.fixture(scope="module")
def tls():
    authority = trustme.CA()
    client, server = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(client)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return client, server


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_body_that_ends_with_the_connection_needs_the_server_s_word_for_it(tls, says_so):
    """RFC 8446, 6.1; RFC 9112, 9.8: otherwise anybody on the way may have cut it."""

    async def handler(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if says_so:
            await connection.stream.unwrap()
        else:
            await trio.aclose_forcefully(connection.stream.transport_stream)

    pool = Pool(ssl_context=tls[0])
    async with serving(handler, ssl_context=tls[1]) as server:
        exchange = await pool.send(server.target(), b"{}")
        if says_so:
            assert await exchange.read(100) == b"hello"
        else:
            with pytest.raises(RemoteProtocolError) as caught:
                await exchange.read(100)
            assert caught.value.kind is ErrorKind.TRUNCATED
        await exchange.aclose()
        await pool.aclose()


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_a_tls_connection_idle_for_long_is_looked_at_before_it_is_used(tls, last_words):
    async def main():
        pool = Pool(ssl_context=tls[0])
        handler = closing_after(1, answer_first=last_words)
        async with serving(handler, ssl_context=tls[1]) as server:
            target = server.target()
            assert await read(pool, target) == (1, b"0")
            await trio.sleep(2)
            assert await read(pool, target) == (1, b"1")
            await pool.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_tls_has_something_of_its_own_to_say_to_an_idle_connection(tls):
    """Session tickets may come at any time (RFC 8446, 4.6.1): they are no answer.

    trio's own server holds them back until it first sends, so this one is made by hand.
    """
    told, go_on = trio.Event(), trio.Event()

    async def handler(connection):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server_side = tls[1].wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                server_side.do_handshake()
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    await connection.send(outgoing.read())
                incoming.write(await connection.stream.receive_some())
            else:
                break
        await connection.send(outgoing.read())
        told.set()
        await go_on.wait()
        server_side.write(b"unasked")
        await connection.send(outgoing.read())
        await connection.stream.receive_some()

    pool = Pool(ssl_context=tls[0])
    async with serving(handler) as server:
        origin, _ = pool._route(server.target(scheme="https"))
        connection = await pool._connect(origin)
        await told.wait()
        await wait_all_tasks_blocked()
        assert connection.stream.is_quiet()
        assert connection.stream.is_quiet()
        go_on.set()
        await wait_all_tasks_blocked()
        assert not connection.stream.is_quiet()
        await pool.aclose()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", None])
async def test_authorities_are_found_as_httpx_finds_them(monkeypatch, tmp_path, variable):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        place = tmp_path / "ca.pem" if variable == "SSL_CERT_FILE" else tmp_path
        monkeypatch.setenv(variable, str(place))
    pool = Pool()
    async with serving(always(answer(b"hi")), ssl_context=context) as server:
        if variable == "SSL_CERT_FILE":
            assert await read(pool, server.target()) == (1, b"hi")
        else:
            # The directory has no hashed names, and certifi does not know this authority.
            with pytest.raises(ConnectionBrokenError, match="certificate"):
                await read(pool, server.target())
        await pool.aclose()


async def test_a_tls_connection_closed_while_idle_is_replaced(tls):
    pool = Pool(ssl_context=tls[0])
    async with serving(closing_after(1), ssl_context=tls[1]) as server:
        target = server.target()
        assert await read(pool, target) == (1, b"0")
        await server.wait_gone()
        assert (await read(pool, target))[1] == b"1"
        await pool.aclose()


# ----------------------------------------------------------- a server that we did not write


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


async def test_the_standard_library_s_server_understands_us(pool):
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        target = Target(
            method="POST",
            scheme="http",
            host="localhost",
            port=server.server_port,
            path="/",
            headers=(("Content-Type", "application/json"),),
        )
        try:
            for body in (b"{}", b"x" * 100_000, b""):
                assert await read(pool, target, body) == (1, body)
            assert pool.open_connections == 1
        finally:
            await pool.aclose()
            server.shutdown()
            thread.join()


def nowhere() -> Target:
    """Nobody listens at port 1 of loopback."""
    return Target(method="POST", scheme="http", host="127.0.0.1", port=1, path="/", headers=())


async def test_connections_made_ahead_carry_the_requests_that_come_then(pool):
    async with serving(always(answer(b"hello"))) as server:
        assert await pool.connect_ahead(server.target(), 3) == 3
        assert (pool.open_connections, pool.idle_connections) == (3, 3)
        assert await pool.connect_ahead(server.target(), 2) == 3
        assert pool.open_connections == 3
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read, pool, server.target())
        assert pool.open_connections == 3


async def test_a_connection_that_cannot_be_made_ahead_is_left_to_its_request(pool):
    target = nowhere()
    assert await pool.connect_ahead(target, 2) == 0
    assert pool.open_connections == 0
    with pytest.raises(ConnectionBrokenError):
        await pool.send(target, b"{}")


async def test_a_closed_pool_makes_no_connections_ahead():
    pool = Pool()
    await pool.aclose()
    with pytest.raises(ClientClosedError):
        await pool.connect_ahead(nowhere(), 1)
