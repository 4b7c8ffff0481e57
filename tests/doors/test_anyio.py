"""anyio on trio: trillium itself, called as it is, mixed with anyio's own blocks."""

from __future__ import annotations

import anyio
import trio

import trillium
from trillium import aio
from trillium.simulator import Scripted, open_simulator


def test_on_trio_blocks_of_both_kinds_mix() -> None:
    async def main() -> None:
        async with open_simulator() as provider:
            async with trillium.open_client(
                "any", base_url=provider.base_url, key=provider.key
            ) as client:
                texts: list[str] = []

                async def ask(prompt: str) -> None:
                    texts.append((await client.complete(prompt)).text)

                async with anyio.create_task_group() as tasks, trio.open_nursery() as nursery:
                    tasks.start_soon(ask, "one")
                    nursery.start_soon(ask, "two")
                assert len(texts) == 2
                async with client.batch(["a", "b"]) as batch, anyio.create_task_group() as tasks:
                    async for outcome in batch:
                        tasks.start_soon(ask, outcome.model)
                assert len(texts) == 4

    anyio.run(main, backend="trio")


def test_on_trio_anyios_scopes_cancel_calls_and_streams() -> None:
    async def main() -> None:
        async with open_simulator() as provider:
            provider.script(lambda _: Scripted(text="late", latency_s=60))
            async with trillium.open_client(
                "any", base_url=provider.base_url, key=provider.key
            ) as client:
                with anyio.move_on_after(0.05) as scope:
                    await client.complete("?")
                assert scope.cancelled_caught
                with anyio.move_on_after(0.05) as scope, trio.CancelScope():
                    async with client.stream("?"):
                        raise AssertionError("it was entered")
                assert scope.cancelled_caught
                while provider.ledger.in_flight:
                    await anyio.lowlevel.checkpoint()
                assert provider.ledger.count("abandoned") == 2

    anyio.run(main, backend="trio")


def test_a_source_may_be_an_anyio_stream_on_both_backends(simulated_provider) -> None:
    where = {"base_url": simulated_provider.base_url, "key": simulated_provider.key}

    async def main(open_client) -> None:
        send, receive = anyio.create_memory_object_stream[str](0)

        async def produce() -> None:
            async with send:
                for number in range(20):
                    await send.send(f"{number}")

        async with open_client("any", **where) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(produce)
            async with client.batch(receive) as batch:
                assert len([outcome async for outcome in batch]) == 20

    anyio.run(main, trillium.open_client, backend="trio")
    anyio.run(main, aio.open_client, backend="asyncio")
