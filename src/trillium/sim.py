"""The provider in the box, as a client uses it: started on first use, on loopback."""

from __future__ import annotations

from typing import Final, final

import attrs
import trio

from trillium._transport.exchange import Exchange, Target
from trillium._transport.pool import Pool
from trillium.errors import UsageError

LATENCY_S: Final = 0.1
LATENCY_SPREAD: Final = 0.5
TOKENS_PER_SECOND: Final = 200.0
"""Quick for a provider, and slow enough for people to see a stream."""


@final
@attrs.define(eq=False, repr=False)
class SimTransport:
    """Carries the requests to `sim/…` to a simulator in the client's own nursery."""

    nursery: trio.Nursery | None
    """The client's; None where it was opened by hand, and so has none."""
    _pool: Pool = attrs.field(factory=Pool, init=False)
    _starting: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _port: int | None = attrs.field(default=None, init=False)
    _targets: dict[Target, Target] = attrs.field(factory=dict, init=False)

    async def send(self, target: Target, body: bytes) -> Exchange:
        """Send a request to the simulator, which is started if need be.

        Raises:
            UsageError: The client has no nursery to start it in.
        """
        port = self._port if self._port is not None else await self._start()
        return await self._pool.send(self._local(target, port), body)

    async def connect_ahead(self, target: Target, count: int) -> int:
        """Start the simulator if need be, and make connections to it; see `Pool`.

        Raises:
            UsageError: The client has no nursery to start it in.
        """
        return await self._pool.connect_ahead(self._local(target, await self._start()), count)

    async def aclose(self) -> None:
        """Close all connections; the server ends with the client's block."""
        await self._pool.aclose()

    def _local(self, target: Target, port: int) -> Target:
        local = self._targets.get(target)
        if local is None:
            local = self._targets[target] = attrs.evolve(target, host="127.0.0.1", port=port)
        return local

    async def _start(self) -> int:
        async with self._starting:
            if self._port is not None:
                return self._port
            if self.nursery is None:
                raise UsageError(
                    "sim/… runs its server inside the client's block: "
                    "use async with open_client(...), not open()"
                )
            # Here, so that nobody pays for it who does not use it.
            from trillium.simulator import Simulator, SimulatorSettings, serve  # noqa: PLC0415

            settings = SimulatorSettings(
                keys=None,
                latency_s=LATENCY_S,
                latency_spread=LATENCY_SPREAD,
                tokens_per_second=TOKENS_PER_SECOND,
            )
            provider = await self.nursery.start(serve, Simulator(settings))
            port: int = provider.port
            self._port = port
            return port
