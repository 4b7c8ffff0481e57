"""Where the line of a request stands, against a plain dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trillium._batch.placed_lines import DigestOffsets, PlacedLines
from trillium.errors import ErrorKind

indexes = st.integers(0, 10) | st.integers(4090, 4100) | st.integers(0, 1 << 40)
kinds = st.none() | st.sampled_from(ErrorKind)


@given(st.lists(st.tuples(indexes, st.integers(0, (1 << 57) - 1), kinds)))
def test_the_last_line_of_an_index_counts(
    puts: list[tuple[int, int, ErrorKind | None]],
) -> None:
    lines = PlacedLines()
    model: dict[int, tuple[int, ErrorKind | None]] = {}
    for index, offset, kind in puts:
        assert lines.put(index, offset, kind) is (index in model)
        model[index] = (offset, kind)
    assert lines.count == len(model)
    for index, (offset, kind) in model.items():
        assert (lines.offset(index), lines.kind(index)) == (offset, kind)
    assert list(lines.offsets()) == [model[index][0] for index in sorted(model)]
    counts: dict[ErrorKind | None, int] = {}
    for _, kind in model.values():
        counts[kind] = counts.get(kind, 0) + 1
    assert lines.kinds() == counts


def test_what_was_never_put_is_not_there() -> None:
    lines = PlacedLines()
    assert lines.offset(5) is None
    lines.put(6, 0, None)
    assert lines.offset(5) is None
    assert lines.offset(6) == 0


digests = st.integers(0, 5) | st.integers(0, (1 << 64) - 1)


@given(st.lists(st.tuples(digests, st.integers(0, (1 << 64) - 1))), digests)
def test_a_digest_finds_its_last_line(puts: list[tuple[int, int]], other: int) -> None:
    offsets = DigestOffsets()
    model: dict[int, int] = {}
    for digest, offset in puts:
        offsets.put(digest, offset)
        model[digest] = offset
    assert {digest: offsets.get(digest) for digest in model} == model
    assert offsets.get(other) == model.get(other)
