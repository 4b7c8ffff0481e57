"""Answer the prompts of a file, many at a time, and say what became of each.

Nothing is read further ahead than the window: the file may be larger than the memory.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import trio

import trillium

PROMPTS = Path(__file__).with_name("prompts.jsonl")


def requests() -> Iterator[trillium.Request]:
    with PROMPTS.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield trillium.Request(row["prompt"], id=row["id"], max_tokens=200)


async def main() -> None:
    async with (
        trillium.open_client("sim/demo") as client,
        client.batch(requests(), concurrency=5, deadline_s=600) as batch,
    ):
        async for outcome in batch:  # as they are done; ordered=True gives the order of the file
            match outcome:
                case trillium.Completion(id=name, text=text):
                    print(f"{name}: {text[:60]}")
                case trillium.Failure(id=name, error=error):
                    print(f"{name}: failed: {error}")


trio.run(main)
