"""The doors say what the client says: names, arguments, words of explanation."""

from __future__ import annotations

import inspect

import pytest

import trillium
from trillium import aio, sync

DOORS = [aio, sync]
OF_THE_LIFETIME = {"open", "aclose", "close"}
OF_THE_INSIDE = {"backoff_began", "backoff_ended"}
"""What a batch does for its own calls."""


def public(of: type) -> set[str]:
    return {name for base in of.__mro__ for name in vars(base) if not name.startswith("_")}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["Client", "CompletionStream", "Batch"])
def test_a_door_has_all_names(door, name) -> None:
    native, ours = public(getattr(trillium, name)), public(getattr(door, name))
    assert ours - OF_THE_LIFETIME == native - OF_THE_LIFETIME - OF_THE_INSIDE


@pytest.mark.parametrize("door", DOORS)
def test_a_door_takes_the_same_arguments_and_explains_them(door) -> None:
    pairs = [(trillium.open_client, door.open_client)]
    pairs += [
        (getattr(trillium.Client, name), getattr(door.Client, name))
        for name in public(trillium.Client) - OF_THE_LIFETIME
    ]
    for native, ours in pairs:
        assert inspect.signature(native).parameters == inspect.signature(ours).parameters
        assert inspect.getdoc(native) == inspect.getdoc(ours)
