"""A shop that sells one model, and a client of it: in virtual time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio
from trio.testing import MockClock

import trillium
from trillium.prices import Prices, parse_list
from trillium.simulator import SimulatedProvider, SimulatorSettings, open_simulator

LIST = """
provider = "shop"
source = "made up"
[models.m]
input = 2.0
output = 8.0
"""
PRICES = Prices((parse_list(LIST, file="shop.toml"),))

Main = Callable[[trillium.Client, SimulatedProvider], Awaitable[object]]


@contextlib.asynccontextmanager
async def open_shop(
    settings: SimulatorSettings | None = None,
    *,
    rule: trillium.ChargeRule = trillium.ChargeRule.SUM,
    **client_arguments: Any,
) -> AsyncIterator[tuple[trillium.Client, SimulatedProvider]]:
    """Open a simulator, and a client whose default model has a price there."""
    async with open_simulator(settings) as provider:
        endpoint = trillium.Endpoint(
            name="shop", base_url=provider.base_url, key=provider.key, charge_rule=rule
        )
        arguments = {"prices": PRICES, **client_arguments}
        async with trillium.open_client(trillium.Model(endpoint, "m"), **arguments) as client:
            yield client, provider


def in_shop(main: Main, settings: SimulatorSettings | None = None, **arguments: Any) -> None:
    """Run `main` in virtual time."""

    async def run() -> None:
        async with open_shop(settings, **arguments) as (client, provider):
            await main(client, provider)

    trio.run(run, clock=MockClock(autojump_threshold=0))
