"""Show an answer as it is written.

Leaving the `async with` block early closes the connection, and so ends the answer.
"""

import trio

import trillium


async def main() -> None:
    async with (
        trillium.open_client("sim/demo") as client,
        client.stream("Write a long poem about the sea") as stream,
    ):
        async for chunk in stream:
            print(chunk.text, end="", flush=True)
    print()


trio.run(main)
