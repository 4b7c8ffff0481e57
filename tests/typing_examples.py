"""What type checkers infer for users; `nox -s types` fails where it gets worse. Never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import trillium
from trillium import Chunk, Completion, Failure, Model, Outcome, Plan, Request, aio, sync


async def calls(client: trillium.Client) -> None:
    assert_type(await client.complete("prompt"), Completion)
    assert_type(await client.complete(Request("prompt", temperature=0.5)), Completion)
    assert_type(await client.complete_all(["prompt", Request("prompt")]), list[Outcome])
    assert_type(await client.complete_each(["prompt"], ["a", "b"]), dict[str, list[Outcome]])
    model = trillium.model("sim/a")
    assert_type(model, Model)
    assert_type(await client.compare(["prompt"], ["a", model]), trillium.Comparison)
    assert_type(await client.complete_each(["prompt"], [model]), dict[Model, list[Outcome]])
    assert_type(await client.plan(["prompt"]), Plan)
    assert_type(await client.plan_each(["prompt"], ["a", "b"]), dict[str, Plan])
    assert_type(await client.plan_each(["prompt"], [model]), dict[Model, Plan])


async def blocks() -> None:
    async with trillium.open_client("sim/demo") as client:
        assert_type(client, trillium.Client)
        async with client.stream("prompt") as stream:
            async for chunk in stream:
                assert_type(chunk, Chunk)
        async with client.batch(["prompt"], concurrency=5) as batch:
            async for outcome in batch:
                assert_type(outcome, Outcome)


def sources(client: trillium.Client) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "prompt"

    async def follow_ups() -> AsyncIterator[Request]:
        yield Request("prompt")

    client.batch(endless())
    client.batch(follow_ups())


def outcomes(outcome: Outcome) -> None:
    if outcome.success:
        assert_type(outcome, Completion)
        assert_type(outcome.text, str)
    else:
        assert_type(outcome, Failure)
        assert_type(outcome.error, trillium.RequestError)
    match outcome:
        case Completion(id=name, usage=usage):
            assert_type(name, str | int | None)
            assert_type(usage, trillium.Usage | None)
        case Failure(error=error):
            assert_type(error.kind, trillium.ErrorKind)


async def doors() -> None:
    async with aio.open_client("sim/demo", concurrency=3) as client:
        assert_type(await client.complete("prompt"), Completion)
        assert_type(await client.complete_each(["prompt"], ["a"]), dict[str, list[Outcome]])
        async with client.stream("prompt") as stream:
            async for chunk in stream:
                assert_type(chunk, Chunk)
        async with client.batch(["prompt"]) as batch:
            async for outcome in batch:
                assert_type(outcome, Outcome)
            assert_type(batch.statistics(), trillium.BatchStatistics)
    with sync.open_client("sim/demo", concurrency=3) as plain:
        assert_type(plain.complete("prompt"), Completion)
        assert_type(plain.complete_each(["prompt"], ["a"]), dict[str, list[Outcome]])
        with plain.stream("prompt") as chunks:
            assert_type(list(chunks), list[Chunk])
        with plain.batch(["prompt"], ordered=True) as outcomes:
            assert_type(list(outcomes), list[Outcome])
