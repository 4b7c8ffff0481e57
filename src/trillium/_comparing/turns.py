"""In which order models have their turns: no model always goes first, or behind the same one.

A round is one prompt, asked of all models. In a block of as many rounds as there are models, each
model goes first once, second once, and so on: the order of the block, drawn from the seed, is
rotated by one from round to round. All prompts are asked once before any is asked again, so that
a provider's cache has as little as possible of what is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import attrs

from trillium._policy.dice import draw


@final
@attrs.frozen
class Turn:
    """One request of a comparison."""

    prompt: int
    repeat: int
    model: int
    """Their places, from 0."""


def turns(*, prompts: int, repeat: int, models: int, seed: int) -> Iterator[Turn]:
    """Yield all turns, in the order in which they come.

    Args:
        prompts: How many there are.
        repeat: How often each is asked.
        models: How many there are.
        seed: Of the order of the models in each block.
    """
    order: list[int] = []
    for number in range(repeat * prompts):
        block, shift = divmod(number, models)
        if shift == 0:
            order = sorted(range(models), key=lambda model: draw(seed, model, block + 1))
        for model in order[shift:] + order[:shift]:
            yield Turn(prompt=number % prompts, repeat=number // prompts, model=model)
