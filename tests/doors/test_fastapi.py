"""The FastAPI example, in a real uvicorn, asked over a real socket."""

from __future__ import annotations

import asyncio
import runpy
import socket
from pathlib import Path

import pytest
import uvicorn

from trillium.simulator import Scripted, SimulatorSettings

EXAMPLE = Path(__file__).parents[2] / "examples/fastapi_stream.py"
GET = b"GET /answer?prompt=hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def simulator_settings() -> SimulatorSettings:
    return SimulatorSettings(tokens_per_second=200)


@pytest.fixture
def app(simulated_provider, monkeypatch):
    monkeypatch.setenv("BASE_URL", simulated_provider.base_url)
    monkeypatch.setenv("API_KEY", simulated_provider.key)
    return runpy.run_path(str(EXAMPLE))["app"]


async def ask(app, use) -> None:
    """Run the server while `use` talks to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="error", lifespan="on", ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            writer.write(GET)
            await use(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()
            server.should_exit = True
            await serving


@pytest.mark.slow
def test_an_answer_streams_to_its_end(app, simulated_provider) -> None:
    simulated_provider.script([Scripted(text="one two three")])

    async def use(reader, writer) -> None:
        received = await reader.readuntil(b"0\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 200")
        assert b"one" in received
        assert b"three" in received

    asyncio.run(ask(app, use))
    assert simulated_provider.ledger.count("answered") == 1


@pytest.mark.slow
def test_when_the_browser_goes_away_the_provider_is_left(app, simulated_provider) -> None:
    simulated_provider.script([Scripted(text="word " * 10_000)])

    async def use(reader, writer) -> None:
        await reader.readuntil(b"word")
        writer.close()
        await writer.wait_closed()
        await asyncio.to_thread(simulated_provider.wait_settled)
        [entry] = simulated_provider.ledger.entries
        assert entry.outcome == "abandoned"
        assert entry.output_tokens < 10_000

    asyncio.run(ask(app, use))
