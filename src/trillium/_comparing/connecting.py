"""Connections are made before anything is timed: who goes first would pay for all who follow.

Our own pool connects, TLS included, and sends nothing. Through httpx, where a connection comes
with a request only, the list of models is asked for, which no provider bills.
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import trio

from trillium._call.route import Station
from trillium._transport.exchange import Target
from trillium.errors import RequestError

CONNECT_S: Final = 10.0
"""How long it may take, in seconds; a server that takes longer is left to the requests."""
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Of a list of models: some have pages of text on each."""


@runtime_checkable
class Connects(Protocol):
    """A transport that can connect without a request."""

    async def connect_ahead(self, target: Target, count: int) -> int:
        """Make connections until so many are idle; return how many are."""


async def connect_ahead(station: Station, count: int) -> float | None:
    """Have connections for so many requests at once; return how long that took, in seconds.

    What goes wrong is left to the requests, which tell of it; then it is None.
    """
    started_at, made = trio.current_time(), 0
    target = station.target(station.dialect.models_path(model=None), method="GET")
    with trio.move_on_after(CONNECT_S):
        if isinstance(station.transport, Connects):
            made = await station.transport.connect_ahead(target, count)
        else:
            answered: list[int] = []
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(_ask_for_models, station, target, answered)
            made = len(answered)
    return trio.current_time() - started_at if made >= count else None


async def _ask_for_models(station: Station, target: Target, answered: list[int]) -> None:
    try:
        exchange = await station.transport.send(target, b"")
        try:
            await exchange.read(MAX_ANSWER_BYTES)
        finally:
            await exchange.aclose()
    except RequestError:
        return  # noqa: ASYNC910  # sending was one, also where it failed
    answered.append(exchange.status)
