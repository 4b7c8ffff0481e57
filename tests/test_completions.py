"""What comes back: records that cannot be changed, however they were made."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from trillium.completions import Completion, FinishReason, Usage, new_completion

ARGUMENTS: dict[str, Any] = {
    "id": 7,
    "index": 3,
    "model": "m",
    "endpoint": "e",
    "text": "Hi",
    "finish_reason": FinishReason.STOP,
    "usage": Usage(input_tokens=1),
    "latency_s": 0.5,
    "parts": None,
}


def test_a_completion_made_quickly_is_the_same() -> None:
    quick, usual = new_completion(**ARGUMENTS), Completion(**ARGUMENTS)
    assert type(quick) is Completion
    assert quick == usual
    assert repr(quick) == repr(usual)
    assert attrs.evolve(quick, text="Ho") == attrs.evolve(usual, text="Ho")
    assert pickle.loads(pickle.dumps(quick)) == copy.deepcopy(quick) == usual
    assert quick.parts == usual.parts


def test_a_quick_maker_takes_what_has_no_default_first_and_then_the_rest_by_position() -> None:
    fields = attrs.fields_dict(Completion)
    names = sorted(fields, key=lambda name: fields[name].default is not attrs.NOTHING)
    completion = new_completion(*names)
    assert [getattr(completion, name) for name in names] == names


def test_a_completion_made_quickly_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        new_completion(**ARGUMENTS).text = "Ho"  # type: ignore[misc]
    with pytest.raises(TypeError, match="latency_s"):
        new_completion(**{k: v for k, v in ARGUMENTS.items() if k != "latency_s"})
