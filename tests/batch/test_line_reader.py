"""Bytes in any pieces become the same requests and the same errors."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._batch import line_reader
from trillium._batch.id_set import IdSet
from trillium._batch.line_reader import FindId, LineReader
from trillium._wire.chat_requests import Defaults
from trillium._wire.prompt_lines import parse_json_line, parse_text_line
from trillium.errors import InvalidInputError, InvalidRequestError
from trillium.messages import Request

parse_json = partial(parse_json_line, defaults=Defaults())
parse_text = partial(parse_text_line, defaults=Defaults())


def prompts(requests: Iterable[Request]) -> list[object]:
    return [request.messages[0].content for request in requests]


def read_all(reader: LineReader, pieces: Iterable[bytes]) -> list[Request]:
    requests = [request for piece in pieces for request in reader.feed(piece)]
    requests.extend(reader.close())
    return requests


def read_json(content: bytes, *, find_id: FindId | None = None) -> list[Request]:
    return read_all(LineReader("in.jsonl", parse_json, ids=IdSet(), find_id=find_id), [content])


lines = st.sampled_from(
    [b'{"prompt":"a"}', b' {"prompt":"b"} ', b"", b" \t", b'{"prompt":"\xc3\xbc"}', b"{", b"\xff"]
)


@given(
    st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n"]))), lines, st.booleans(), st.data()
)
@example([(b'{"prompt":"a"}', b"\n")], b"", False, None)
def test_any_cuts_give_the_same(
    ended: list[tuple[bytes, bytes]], last: bytes, bom: bool, draws: st.DataObject | None
) -> None:
    content = b"\xef\xbb\xbf" * bom + b"".join(map(b"".join, ended)) + last
    cuts = draws.draw(st.sets(st.integers(0, len(content)))) if draws else set()
    pieces = [content[a:b] for a, b in pairwise(sorted(cuts | {0, len(content)}))]
    outcomes: list[tuple[list[Request], str, int | None]] = []
    for blocks in ([content], pieces):
        reader = LineReader("in", parse_json)
        read: list[Request] = []
        try:
            for block in blocks:
                read.extend(reader.feed(block))
            read.extend(reader.close())
        except InvalidInputError as error:
            outcomes.append((read, str(error), error.line))
        else:
            outcomes.append((read, "", reader.line))
    assert outcomes[0] == outcomes[1]


def test_text_lines_are_prompts_and_blank_ones_are_none() -> None:
    content = b"\xef\xbb\xbfone\r\n\n  two  \n \t\nthree\r\x0bfour"
    read = prompts(read_all(LineReader("in.txt", parse_text), [content]))
    assert read == ["one", "  two  ", "three\r\x0bfour"]


def test_nothing_is_no_request() -> None:
    assert read_json(b"") == read_json(b"\n\r\n \n") == read_json(b"\xef\xbb\xbf") == []


def test_requests_before_a_bad_line_come_first() -> None:
    reader = LineReader("in.jsonl", parse_json)
    requests = reader.feed(b'{"prompt":"a"}\n\n{}\n{"prompt":"b"}\n')
    assert prompts([next(requests)]) == ["a"]
    with pytest.raises(InvalidInputError, match=r"^in\.jsonl, line 3: no prompt") as caught:
        next(requests)
    assert (caught.value.file, caught.value.line) == ("in.jsonl", 3)


def test_a_long_reason_is_cut() -> None:
    def refuse(line: bytes) -> Request:
        raise InvalidRequestError("a\nb" + "c" * 1000)

    with pytest.raises(InvalidInputError) as caught:
        read_all(LineReader("in", refuse), [b"x"])
    assert len(str(caught.value)) < 330
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b'{"id":1,"prompt":"a"}\n\n{"prompt":"b"}', 3, "it has no id, but lines before have one"),
        (b'{"prompt":"a"}\n{"id":1,"prompt":"b"}', 2, "it has an id, but lines before have none"),
        (b'{"id":"a","prompt":"a"}\n{"id":"a","prompt":"b"}', 2, 'the id "a" was given before'),
    ],
)
def test_ids_are_given_to_all_or_none_and_once(content: bytes, line: int, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        read_json(content)
    assert caught.value.line == line


def test_an_id_is_compared_by_type_and_value() -> None:
    requests = read_json(b'{"id":1,"prompt":"a"}\n{"id":"1","prompt":"a"}\n{"id":"","prompt":"a"}')
    assert [request.id for request in requests] == [1, "1", ""]


def test_the_same_hash_is_looked_at_again() -> None:
    content = b'{"id":"a","prompt":"a"}\n{"id":"a","prompt":"b"}'
    asked: list[tuple[str | int, int]] = []

    def not_found(id_: str | int, line: int) -> None:
        asked.append((id_, line))

    assert len(read_json(content, find_id=not_found)) == 2
    assert asked == [("a", 2)]
    with pytest.raises(InvalidInputError, match="was given in line 1: each request needs its own"):
        read_json(content, find_id=lambda *_: 1)


def test_a_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_reader, "MAX_LINE_BYTES", 1 << 20)
    reader = LineReader("in.txt", parse_text)
    assert list(reader.feed(b"a\n" + b"x" * (1 << 20))) != []
    with pytest.raises(InvalidInputError, match=r"line 2: longer than 1 MiB") as caught:
        list(reader.feed(b"x"))
    assert caught.value.line == 2
