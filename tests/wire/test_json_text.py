"""Reading JSON as servers send it."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.json_text import (
    MAX_COUNT,
    NotJSONError,
    count_in,
    json_of,
    list_in,
    mapping_in,
    parse_json,
    text_in,
)

TEXTS = st.text('a[{"\\\n é😀', max_size=3)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(value=JSON_VALUES, blank=st.sampled_from(["", "\n\n", " \t\r\n"]))
def test_what_the_standard_library_writes_is_read_back(value, blank):
    assert parse_json(f"{blank}{json.dumps(value)}{blank}".encode()) == value


@given(raw=st.binary())
@example(raw=b"[" * 100_000)
@example(raw=b'"\\u')
@example(raw=b'{"a": ' + b"9" * 5000 + b"}")
def test_garbage_is_a_value_or_not_json(raw):
    try:
        value = parse_json(raw)
    except NotJSONError:
        return
    json_of(value).encode()


@given(value=st.dictionaries(TEXTS, JSON_VALUES, min_size=1, max_size=3), draws=st.data())
def test_every_beginning_of_an_object_is_cut(value, draws):
    whole = json.dumps(value, ensure_ascii=False).encode()
    length = draws.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(NotJSONError) as raised:
        parse_json(whole[:length])
    assert raised.value.cut


@pytest.mark.parametrize(
    "raw", [b'{"a": 1,}', b"{'a': 1}", b"data", b'{"a": 1}}', b"[1]{}", b'{"a":01}']
)
def test_malformed_json_is_not_called_cut(raw):
    with pytest.raises(NotJSONError) as raised:
        parse_json(raw)
    assert not raised.value.cut


def test_a_lone_surrogate_becomes_the_replacement_character():
    raw = b'{"text": "a\\ud83d b\\uDE00 \\ud83d\\ude00 \\\\ud83d \\n"}'
    assert parse_json(raw) == {"text": "a\ufffd b\ufffd \U0001f600 \\ud83d \n"}


def test_bytes_that_are_no_utf8_become_the_replacement_character():
    assert parse_json(b'{"a": "\xff"}') == {"a": "\ufffd"}


def test_a_byte_order_mark_is_ignored():
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_nan_is_read():
    value = parse_json(b'{"logprob": NaN, "other": -Infinity}')
    assert isinstance(value, dict)
    assert str(value["logprob"]) == "nan"


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (5, 5),
        (0, 0),
        (-1, 0),
        (5.9, 5),
        (True, 0),
        (None, 0),
        ("5", 0),
        (float("nan"), 0),
        (float("inf"), MAX_COUNT),
        (10**400, MAX_COUNT),
        ([], 0),
    ],
)
def test_a_count_is_never_negative_nor_absurd(value, count):
    assert count_in(value) == count


def test_what_is_of_another_type_is_empty():
    assert (text_in(1), mapping_in([]), list_in({})) == ("", {}, [])
    assert (text_in("a"), mapping_in({"a": 1}), list_in([1])) == ("a", {"a": 1}, [1])


def test_whole_numbers_of_any_length_are_written_again():
    assert json_of({"a": 10**30}) == '{"a":' + "1" + "0" * 30 + "}"


def test_what_is_nested_too_deeply_to_be_written_is_empty():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert json_of(value) == ""
    # Taken apart by hand: the interpreter's own clean-up of it is recursive too.
    while value:
        value = value.pop()  # type: ignore[assignment]


def test_cut_is_told_in_time_linear_in_the_text():
    # Each of the escaped quotes could begin a string; a second pass from each would take hours.
    with pytest.raises(NotJSONError):
        parse_json(b'["' + b'\\"' * 50_000)
