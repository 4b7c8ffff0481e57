"""One question, one answer.

It asks the built-in simulator, so it needs neither key nor network; for a real model, write
`"openai/gpt-4.1"` and set `OPENAI_API_KEY`.
"""

import trio

import trillium


async def main() -> None:
    async with trillium.open_client("sim/demo") as client:
        completion = await client.complete("Why is the sky blue?")
    print(completion.text)
    print(f"{completion.usage}, {completion.latency_s:.2f} s, {completion.attempts} attempt(s)")


trio.run(main)
