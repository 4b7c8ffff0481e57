"""Ids that were there before are found, in little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trillium._batch.id_set import IdSet

ids = st.text(max_size=3) | st.integers(-5, 5) | st.integers() | st.integers(-5, 5).map(str)


@given(st.lists(ids))
def test_it_knows_what_a_set_knows(added: list[str | int]) -> None:
    ours, theirs = IdSet(), set[tuple[str, str]]()
    for id_ in added:
        key = (type(id_).__name__, str(id_))
        assert ours.add(id_) is (key in theirs)
        theirs.add(key)


def test_numbers_that_hash_alike_in_python_are_told_apart() -> None:
    """`hash` of an int is its remainder modulo 2^61 - 1, and -1 and -2 share one."""
    seen = IdSet()
    assert not any(seen.add(number) for number in (-1, -2, 1, 2**61, 2**62 - 1, 10**4000))


def test_an_id_takes_less_than_sixteen_bytes() -> None:
    seen = IdSet()
    empty = seen.size_bytes()
    count = 20_000
    for number in range(count):
        seen.add(f"request-{number}")
    assert seen.size_bytes() - empty < 16 * count
