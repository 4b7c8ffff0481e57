"""httpx both ways round: the user's client as our transport, our pool as their transport."""

from __future__ import annotations

import gzip
import subprocess
import sys

import httpx
import pytest
import trio

from tests.transport.servers import always, answer, serving
from trillium._transport.choice import open_transport, proxy_from_environment
from trillium._transport.exchange import Target
from trillium._transport.httpx_pool import PoolTransport
from trillium._transport.httpx_transport import HttpxTransport
from trillium._transport.pool import Pool
from trillium.errors import ConnectionBrokenError, ErrorKind, InvalidRequestError

TARGET = Target(
    method="POST",
    scheme="https",
    host="api.test",
    port=443,
    path="/v1",
    headers=(("Authorization", "Bearer sk-1"),),
)


# -------------------------------------------------------------------- the user's own client


async def test_a_mock_of_httpx_is_a_transport():
    def respond(request):
        assert str(request.url) == "https://api.test/v1"
        assert request.headers["authorization"] == "Bearer sk-1"
        return httpx.Response(429, json=request.content.decode(), headers={"Retry-After": "3"})

    exchange = await HttpxTransport(httpx.MockTransport(respond)).send(TARGET, b"hi")
    assert (exchange.status, exchange.headers.get(b"retry-after")) == (429, "3")
    assert await exchange.read(100) == b'"hi"'
    assert exchange.complete
    await exchange.aclose()


async def test_the_user_s_authentication_and_hooks_are_theirs():
    seen = []

    def authenticate(request):
        seen.append(request.url.path)
        return request

    async def look(response):
        seen.append(await response.aread())

    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b"body")),
        auth=authenticate,
        event_hooks={"response": [look]},
    )
    transport = HttpxTransport(client)
    exchange = await transport.send(TARGET, b"hi")
    assert await exchange.read(100) == b"body"
    assert await exchange.receive() == b""
    assert seen == ["/v1", b"body"]
    await transport.aclose()
    assert not client.is_closed
    await client.aclose()


# What httpx wraps around such a body is left to the collector: only its own end would end it.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
async def test_a_body_that_never_ends_can_be_closed():
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):
            while True:
                yield b"more"

    transport = HttpxTransport(httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless())))
    exchange = await transport.send(TARGET, b"hi")
    assert await exchange.receive() == b"more"
    with pytest.raises(Exception, match="bound"):
        await exchange.read(10)
    await exchange.aclose()


@pytest.mark.parametrize(
    ("raised", "error", "kind", "attempts"),
    [
        (httpx.ConnectError("no"), ConnectionBrokenError, ErrorKind.CONNECTION_FAILED, 0),
        (httpx.PoolTimeout("no"), ConnectionBrokenError, ErrorKind.CONNECTION_FAILED, 0),
        (httpx.WriteError("no"), ConnectionBrokenError, ErrorKind.CONNECTION_FAILED, 1),
        (httpx.ReadTimeout("no"), ConnectionBrokenError, ErrorKind.CONNECTION_FAILED, 1),
        (httpx.UnsupportedProtocol("no"), InvalidRequestError, None, None),
    ],
)
async def test_what_httpx_raises_is_translated(raised, error, kind, attempts):
    def respond(request):
        raise raised

    with pytest.raises(error) as caught:
        await HttpxTransport(httpx.MockTransport(respond)).send(TARGET, b"hi")
    if kind:
        assert (caught.value.kind, caught.value.attempts) == (kind, attempts)


# ------------------------------------------------------------------------ our pool in httpx


async def test_the_pool_serves_an_httpx_client():
    async def handler(connection):
        while (request := await connection.request()) is not None:
            seen.append(request)
            body = gzip.compress(request.partition(b"\r\n\r\n")[2])
            await connection.send(answer(body, b"Content-Encoding: gzip"))

    async def pieces():
        yield b"a"
        yield b"b"

    seen: list[bytes] = []
    async with (
        serving(handler) as server,
        httpx.AsyncClient(transport=PoolTransport(), trust_env=False) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/x?y=z"
        for content, expected in [(b"hello", b"hello"), (pieces(), b"ab"), (None, b"")]:
            response = await client.post(url, content=content)
            assert (response.status_code, response.content) == (200, expected)
        assert server.connections == 1
    assert seen[0].startswith(b"POST /x?y=z HTTP/1.1\r\n")
    assert seen[1].lower().count(b"content-length") == 1
    assert b"transfer-encoding" not in seen[1].lower()


async def test_a_stream_of_httpx_closes_its_connection_when_left():
    async with (
        serving(always(b"HTTP/1.1 200 OK\r\n\r\n", b"hello")) as server,
        httpx.AsyncClient(transport=PoolTransport(), trust_env=False) as client,
    ):
        async with client.stream("GET", f"http://127.0.0.1:{server.port}/") as response:
            assert response.status_code == 200
        await server.wait_gone()


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"", httpx.ReadError),
        (b"garbage\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", httpx.RemoteProtocolError),
    ],
)
async def test_errors_are_those_of_httpx(wire, error):
    async with (
        serving(always(wire, close=True)) as server,
        httpx.AsyncClient(transport=PoolTransport(), trust_env=False) as client,
    ):
        with pytest.raises(error):
            await client.get(f"http://127.0.0.1:{server.port}/")
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(transport=PoolTransport(), trust_env=False) as client:
            await client.get(f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_timeouts_of_httpx_are_kept(autojump_clock, start):
    async def handler(connection):
        await connection.request()
        if start:
            await connection.send(start)
        await trio.sleep_forever()

    async with (
        serving(handler) as server,
        httpx.AsyncClient(transport=PoolTransport(), trust_env=False, timeout=5) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            await client.get(f"http://127.0.0.1:{server.port}/")


async def test_a_request_s_body_has_a_bound():
    transport = PoolTransport(max_body_bytes=10)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.post("http://127.0.0.1:9/", content=b"x" * 11)


# --------------------------------------------------------------------- which way, and proxies

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "scheme", "proxied"),
    [
        ({}, "https", False),
        ({"HTTPS_PROXY": "http://p:1"}, "https", True),
        ({"HTTPS_PROXY": "http://p:1"}, "http", False),
        ({"http_proxy": "http://p:1"}, "http", True),
        ({"ALL_PROXY": "http://p:1"}, "https", True),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "api.test"}, "https", False),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": ".test"}, "https", False),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "other"}, "https", True),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https", False),
    ],
)
def test_proxies_are_those_of_the_environment(monkeypatch, variables, scheme, proxied):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_from_environment(scheme, "api.test") is proxied


async def test_the_way_follows_from_what_is_given_and_from_the_environment(monkeypatch):
    assert isinstance(open_transport("https://api.test/v1"), Pool)
    mock = httpx.MockTransport(lambda _: httpx.Response(200))
    assert isinstance(open_transport("https://api.test/v1", mock), HttpxTransport)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert isinstance(open_transport("http://api.test/v1"), Pool)
    transport = open_transport("https://api.test/v1")
    assert isinstance(transport, HttpxTransport)
    await transport.aclose()


async def test_requests_go_through_the_proxy(monkeypatch):
    async def proxy(connection):
        request = await connection.request()
        assert request.startswith(b"POST http://api.test/v1 HTTP/1.1\r\n")
        await connection.send(answer(b"by proxy"))

    async with serving(proxy) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        transport = open_transport("http://api.test/v1")
        target = Target(
            method="POST", scheme="http", host="api.test", port=80, path="/v1", headers=()
        )
        exchange = await transport.send(target, b"{}")
        assert await exchange.read(100) == b"by proxy"
        await exchange.aclose()
        await transport.aclose()


@pytest.mark.slow
def test_the_pool_does_not_import_httpx():
    code = "import sys, trillium._transport.choice; assert 'httpx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
