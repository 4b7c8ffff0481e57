"""Plans through the doors: sources are read where they are, and nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import trillium
from trillium import aio, sync


def test_a_plain_program_plans_what_a_generator_gives() -> None:
    def source() -> Iterator[str]:
        for place in range(9):
            yield f"prompt {place}"

    with sync.open_client("openai/gpt-4.1", key="none") as client:
        plan = client.plan(source())
        plans = client.plan_each(source(), ["gpt-4.1", "gpt-4.1-mini"])
    assert isinstance(plan, trillium.Plan)
    assert [found.requests for found in (plan, *plans.values())] == [9, 9, 9]


def test_an_asyncio_program_plans_what_an_async_generator_gives() -> None:
    async def source() -> AsyncIterator[str]:
        for place in range(9):
            await asyncio.sleep(0)
            yield f"prompt {place}"

    async def main() -> None:
        async with aio.open_client("openai/gpt-4.1", key="none") as client:
            plan = await client.plan(source())
            plans = await client.plan_each(source(), ["gpt-4.1", "gpt-4.1-mini"])
        assert [found.requests for found in (plan, *plans.values())] == [9, 9, 9]

    asyncio.run(main())
