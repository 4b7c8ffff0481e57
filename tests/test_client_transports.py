"""`open_client` over each way to the wire: httpx, TLS, and proxies of the environment."""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
import trustme

import trillium
from tests.transport.servers import Connection, serving
from trillium import ErrorKind
from trillium.simulator import SimulatedProvider, open_simulator

KEY = "sk-test-4711"
ANSWER = {"choices": [{"message": {"content": "It scatters."}, "finish_reason": "stop"}]}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def use(client: trillium.Client) -> None:
    """Do all that a client does, and see that it works."""
    completion = await client.complete("Why?")
    assert "Why?" in completion.text
    async with client.stream("Why?") as stream:
        texts = [chunk.text async for chunk in stream]
    assert "".join(texts) == completion.text
    outcomes = await client.complete_all([f"prompt {n}" for n in range(30)], concurrency=10)
    assert all(outcome.success for outcome in outcomes)
    assert (await client.verify()).success


@pytest.mark.parametrize("cut", [False, True])
async def test_what_met_a_closed_idle_connection_is_two_attempts_one_possibly_billed(
    *, cut: bool
) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        body = json.dumps(ANSWER).encode()
        if connection.number and cut:
            await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n" + body)
            return
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await connection.request()  # read whole, and answered with the end of the connection

    async with (
        serving(handler) as server,
        trillium.open_client(
            "m",
            base_url=f"http://127.0.0.1:{server.port}/v1",
            retry=trillium.RetryPolicy(max_attempts=1),
        ) as client,
    ):
        await client.complete("first")
        (outcome,) = await client.complete_all(["again"])
        assert outcome.success is not cut
        assert (outcome.attempts, outcome.abandoned) == (2, 1 + cut)
        assert outcome.possibly_billed_usd is None


# What the user brings.


async def test_a_client_of_httpx_carries_all_and_stays_the_user_s() -> None:
    async with open_simulator() as provider, httpx.AsyncClient(trust_env=False) as http:
        for _ in range(2):
            async with trillium.open_client(
                "sim-1", base_url=provider.base_url, key=provider.key, transport=http
            ) as client:
                await use(client)
            assert not http.is_closed


@pytest.mark.parametrize("given", [httpx.HTTPTransport(), "http://proxy"], ids=["sync", "text"])
async def test_what_cannot_carry_a_request_is_refused(given: Any) -> None:
    async with trillium.open_client("m", base_url="http://a.test", transport=given) as client:
        with pytest.raises(trillium.InvalidRequestError, match=r"httpx\.AsyncClient"):
            await client.complete("Why?")


async def test_a_mock_of_httpx_sees_what_is_sent() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ANSWER)

    async with trillium.open_client(
        "meta/llama:free",
        base_url="https://fake.test/api/v1",
        key=KEY,
        headers={"X-Team": "blue"},
        transport=httpx.MockTransport(respond),
    ) as client:
        completion = await client.complete("Why?")
    assert (completion.text, completion.endpoint) == ("It scatters.", "fake.test")
    (request,) = seen
    assert str(request.url) == "https://fake.test/api/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-team"] == "blue"
    assert json.loads(request.content)["model"] == "meta/llama:free"


async def test_what_a_mock_breaks_is_retried_and_told() -> None:
    answers: Iterator[httpx.Response | Exception]
    answers = iter([httpx.ReadError("cut"), httpx.Response(503), httpx.Response(200, json=ANSWER)])

    def respond(request: httpx.Request) -> httpx.Response:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with trillium.open_client(
        "m",
        base_url="https://fake.test/v1",
        key=KEY,
        transport=httpx.MockTransport(respond),
        retry=trillium.RetryPolicy(base_s=0.001),
    ) as client:
        completion = await client.complete("Why?")
    kinds = [fault.kind for fault in completion.faults]
    assert kinds == [ErrorKind.CONNECTION_FAILED, ErrorKind.OVERLOADED]
    assert completion.attempts == 3


# TLS.


@asynccontextmanager
async def encrypted(
    provider: SimulatedProvider, context: ssl.SSLContext
) -> AsyncIterator[tuple[str, list[trio.SSLStream[trio.SocketStream]]]]:
    """Speak TLS in front of a simulator; gives the base URL, and the streams it has had."""
    streams: list[trio.SSLStream[trio.SocketStream]] = []

    async def serve(plain: trio.SocketStream) -> None:
        stream = trio.SSLStream(plain, context, server_side=True, https_compatible=True)
        streams.append(stream)
        try:
            async with stream, await trio.open_tcp_stream(provider.host, provider.port) as behind:
                await relay(stream, behind)
        except trio.BrokenResourceError:
            pass  # the client did not like the certificate, or went away

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(trio.serve_listeners, serve, [listener]))
        yield f"https://127.0.0.1:{port}/v1", streams
        nursery.cancel_scope.cancel()


async def relay(one: trio.abc.Stream, other: trio.abc.Stream) -> None:
    """Carry bytes both ways until either end closes."""

    async def carry(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        finally:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry, one, other)
        nursery.start_soon(carry, other, one)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def of_server(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def of_client(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_context_of_the_user_s_is_what_tls_is_spoken_with(
    of_server: ssl.SSLContext, of_client: ssl.SSLContext
) -> None:
    async with (
        open_simulator() as provider,
        encrypted(provider, of_server) as (base_url, streams),
        trillium.open_client(
            "sim-1", base_url=base_url, key=provider.key, ssl_context=of_client
        ) as client,
    ):
        await use(client)
        assert 1 <= len(streams) <= 11


async def test_a_certificate_that_is_not_trusted_is_told(of_server: ssl.SSLContext) -> None:
    async with (
        open_simulator() as provider,
        encrypted(provider, of_server) as (base_url, _),
        trillium.open_client(
            "sim-1",
            base_url=base_url,
            key=provider.key,
            retry=trillium.RetryPolicy(max_attempts=1),
        ) as client,
    ):
        with pytest.raises(trillium.ConnectionBrokenError, match="the certificate of 127"):
            await client.complete("Why?")
        assert provider.ledger.received == 0


async def test_the_certificates_of_the_environment_are_trusted(
    authority: trustme.CA,
    of_server: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with authority.cert_pem.tempfile() as file:
        monkeypatch.setenv("SSL_CERT_FILE", file)
        async with (
            open_simulator() as provider,
            encrypted(provider, of_server) as (base_url, _),
            trillium.open_client("sim-1", base_url=base_url, key=provider.key) as client,
        ):
            assert (await client.complete("Why?")).success


# Proxies of the environment.


def forwarding(provider: SimulatedProvider, seen: list[bytes]) -> Callable[..., Awaitable[None]]:
    """Return a proxy: it forwards requests in absolute form, and tunnels what CONNECT asks for.

    Whatever host is named, the simulator is behind it, or for CONNECT the port that is named.
    """

    async def proxy(connection: Connection) -> None:
        while (request := await connection.request()) is not None:
            method, url, _ = request.split(b" ", 2)
            seen.append(method + b" " + url)
            if method == b"CONNECT":
                port = int(url.rpartition(b":")[2])
                async with await trio.open_tcp_stream("127.0.0.1", port) as behind:
                    await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
                    await relay(connection.stream, behind)
                return
            path = httpx.URL(url.decode()).raw_path
            closing = b"\r\nConnection: close\r\n"
            forwarded = request.replace(url, path, 1).replace(b"\r\n", closing, 1)
            async with await trio.open_tcp_stream(provider.host, provider.port) as behind:
                await behind.send_all(forwarded)
                async for data in behind:
                    await connection.send(bytes(data))
            return

    return proxy


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    async with open_simulator() as provider, serving(forwarding(provider, seen)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with trillium.open_client(
            "sim-1", base_url="http://provider.test/v1", key=provider.key
        ) as client:
            await use(client)
        assert set(seen) == {
            b"POST http://provider.test/v1/chat/completions",
            b"GET http://provider.test/v1/models",
            b"GET http://provider.test/v1/models/sim-1",
        }


async def test_no_proxy_exempts_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    async with open_simulator() as provider, serving(forwarding(provider, seen)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with trillium.open_client(
            "sim-1", base_url=provider.base_url, key=provider.key
        ) as client:
            assert (await client.complete("Why?")).success
        assert seen == []


async def test_tls_goes_through_a_tunnel_with_the_context_that_was_given(
    of_server: ssl.SSLContext, of_client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    async with (
        open_simulator() as provider,
        encrypted(provider, of_server) as (base_url, _),
        serving(forwarding(provider, seen)) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with trillium.open_client(
            "sim-1", base_url=base_url, key=provider.key, ssl_context=of_client
        ) as client:
            await use(client)
        tunnel = b"CONNECT " + base_url.removeprefix("https://").removesuffix("/v1").encode()
        assert set(seen) == {tunnel}


async def test_a_proxy_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_simulator() as provider:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        async with trillium.open_client(
            "sim-1",
            base_url="http://provider.test/v1",
            key=provider.key,
            retry=trillium.RetryPolicy(max_attempts=1),
        ) as client:
            with pytest.raises(trillium.ConnectionBrokenError) as caught:
                await client.complete("Why?")
        assert caught.value.kind is ErrorKind.CONNECTION_FAILED
        assert caught.value.abandoned == 0
