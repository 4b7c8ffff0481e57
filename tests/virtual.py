"""Runs a test in virtual time, with a simulated provider in the same run.

The clock jumps as soon as all tasks wait, so a night's batch takes a second. That is sound
only because both ends of every socket are in this run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

import trillium
from trillium.simulator import SimulatedProvider, SimulatorSettings, open_simulator


def run_simulated(
    main: Callable[[trillium.Client, SimulatedProvider], Awaitable[object]],
    *,
    settings: SimulatorSettings | None = None,
    dialect: str = "openai-chat",
    **client_arguments: Any,
) -> None:
    """Run `main` with a client and the provider that it asks, in virtual time."""

    async def run() -> None:
        async with open_simulator(settings) as provider:
            async with trillium.open_client(
                "sim-1",
                base_url=provider.base_url,
                key=provider.key,
                dialect=dialect,
                **client_arguments,
            ) as client:
                await main(client, provider)

    trio.run(run, clock=MockClock(autojump_threshold=0))


@asynccontextmanager
async def open_two_clients(
    quota: trillium.Quota, settings: SimulatorSettings
) -> AsyncIterator[tuple[trillium.Client, trillium.Client, SimulatedProvider]]:
    """Have two clients that share a quota, and the provider that both ask."""
    async with open_simulator(settings) as provider:
        where: dict[str, Any] = {
            "base_url": provider.base_url,
            "key": provider.key,
            "limits": quota,
        }
        async with (
            trillium.open_client("sim-1", **where) as one,
            trillium.open_client("sim-1", **where) as two,
        ):
            yield one, two, provider
