"""Ask several models the same questions, and lay the answers side by side."""

import trio

import trillium

PROMPTS = ["Why is the sky blue?", 'Name five English words that rhyme with "stream".']
MODELS = ["small", "large"]  # names on the wire; trillium.model("...") adds other providers'


async def main() -> None:
    async with trillium.open_client("sim/small") as client:
        by_model = await client.complete_each(PROMPTS, models=MODELS)
    for number, prompt in enumerate(PROMPTS):
        print(prompt)
        for model, outcomes in by_model.items():
            outcome = outcomes[number]
            print(f"  {model}: {outcome.text if outcome.success else outcome.error}")


trio.run(main)
