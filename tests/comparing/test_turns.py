"""The order of turns: every prompt to every model, and no model always first."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trillium._comparing.turns import Turn, turns

counts = st.integers(1, 5)


@given(prompts=st.integers(0, 12), repeat=counts, models=counts, seed=st.integers())
def test_each_prompt_goes_to_each_model_as_often_as_asked(prompts, repeat, models, seed) -> None:
    found = list(turns(prompts=prompts, repeat=repeat, models=models, seed=seed))
    assert Counter(found) == {
        Turn(prompt, again, model): 1
        for prompt in range(prompts)
        for again in range(repeat)
        for model in range(models)
    }


@given(prompts=counts, repeat=counts, models=counts, seed=st.integers())
def test_a_prompt_is_asked_of_all_models_before_the_next(prompts, repeat, models, seed) -> None:
    found = list(turns(prompts=prompts, repeat=repeat, models=models, seed=seed))
    rounds = [(turn.repeat, turn.prompt) for turn in found]
    assert rounds == sorted(rounds)


@given(blocks=st.integers(1, 4), models=counts, seed=st.integers())
def test_in_a_block_each_model_has_each_place_once(blocks, models, seed) -> None:
    found = list(turns(prompts=blocks * models, repeat=1, models=models, seed=seed))
    size = models * models
    for start in range(0, len(found), size):
        places = Counter(
            (turn.model, place % models) for place, turn in enumerate(found[start : start + size])
        )
        assert set(places.values()) == {1}
        assert len(places) == size


def test_over_blocks_a_model_comes_behind_all_others() -> None:
    found = list(turns(prompts=60, repeat=1, models=3, seed=7))
    behind = Counter((a.model, b.model) for a, b in pairwise(found) if a.prompt == b.prompt)
    assert len(behind) == 6
    assert min(behind.values()) > 10


def test_the_same_seed_gives_the_same_order() -> None:
    def drawn(seed: int) -> list[Turn]:
        return list(turns(prompts=20, repeat=2, models=4, seed=seed))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
