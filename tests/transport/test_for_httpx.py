"""`_transport/for_httpx.py`: the pool, published."""

from __future__ import annotations

import ssl

import httpx
import pytest
import trustme

import trillium
from tests.transport.servers import always, answer, serving


async def test_anybodys_client_goes_through_our_pool() -> None:
    async with (
        serving(always(answer(b"hello"))) as server,
        httpx.AsyncClient(transport=trillium.httpx_transport(), trust_env=False) as client,
    ):
        for _ in range(3):
            response = await client.post(f"http://127.0.0.1:{server.port}/", content=b"hi")
            assert response.text == "hello"
        assert server.connections == 1


async def test_the_ssl_context_and_the_bounds_reach_the_pool() -> None:
    authority = trustme.CA()
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(of_server)
    of_client = ssl.create_default_context()
    authority.configure_trust(of_client)
    transport = trillium.httpx_transport(
        ssl_context=of_client, idle_expiry_s=5.0, max_idle=0, max_body_bytes=1000
    )
    async with (
        serving(always(answer(b"hello")), ssl_context=of_server) as server,
        httpx.AsyncClient(transport=transport, trust_env=False) as client,
    ):
        url = f"https://127.0.0.1:{server.port}/"
        assert (await client.get(url)).text == "hello"
        assert (await client.get(url)).text == "hello"
        assert server.connections == 2  # none is kept where max_idle is 0
        with pytest.raises(httpx.LocalProtocolError, match="bound of 1,000 bytes"):
            await client.post(url, content=b"x" * 1001)
