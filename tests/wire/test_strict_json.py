"""JSON lines are taken as RFC 7493 (I-JSON) has them, and errors say what to mend."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.strict_json import MAX_EXCERPT_CHARS, decode_strictly, decode_text, quote_value
from trillium.errors import InvalidRequestError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", '\\"', 'a\\\\"', '":"', "id", "ü", "😀", "\x00"]
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
) | texts


def reference(line: bytes) -> Any:
    """Decode by the standard library, which shows each pair of an object to a hook."""

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    return json.loads(line, object_pairs_hook=as_object)


@st.composite
def json_lines(draw: st.DrawFn) -> bytes:
    """JSON in which keys may be there twice, written in one of several styles."""

    def written(depth: int) -> str:
        kind = draw(
            st.sampled_from(["scalar", "scalar", "object", "list"] if depth else ["scalar"])
        )
        space = draw(st.sampled_from(["", " ", "\t"]))
        ascii_only = draw(st.booleans())
        if kind == "scalar":
            return json.dumps(draw(scalars), ensure_ascii=ascii_only)
        if kind == "list":
            items = [written(depth - 1) for _ in range(draw(st.integers(0, 3)))]
            return f"[{space}{','.join(items)}{space}]"
        keys = draw(st.lists(st.sampled_from(["id", "a", '"', "\\", "ü"]) | texts, max_size=4))
        pairs = [
            f"{json.dumps(key, ensure_ascii=ascii_only)}{space}:{written(depth - 1)}"
            for key in keys
        ]
        return f"{{{space}{','.join(pairs)}{space}}}"

    return written(3).encode()


@given(json_lines())
@example(b'{"id" :1,"id":"a"}')
@example(b'{"id":"a","id":1}')
@example(b'{"id":1,"\\u0069d":1}')
@example(b'{"a\\\\":"b\\\\","a\\\\":"b\\\\"}')
@example(b'{"a":"\\"","b":[{"c":1,"c":1}]}')
@example(b'{"a":"x\\\\","b":"\\\\\\""}')
def test_it_agrees_with_a_decoder_that_looks_at_each_pair(line: bytes) -> None:
    try:
        expected = reference(line)
    except ValueError:
        with pytest.raises(InvalidRequestError, match="twice in one object"):
            decode_strictly(line)
    else:
        value = decode_strictly(line)
        assert value == expected
        assert repr(value) == repr(expected)  # 1, 1.0 and true are equal, and not the same


@given(st.binary(max_size=30) | st.text('{}[]":,\\ 01aent.-', max_size=12).map(str.encode))
def test_any_bytes_are_a_value_or_refused(line: bytes) -> None:
    try:
        value = decode_strictly(line)
    except InvalidRequestError as error:
        reason = str(error)
    else:
        assert value == reference(line)
        reason = ""
    assert len(reason) < 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": NaN}', "NaN is no number in JSON"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "the number 1e999 is out of range"),
        (b'{"a": "\\ud800"}', "half a surrogate pair"),
        (b'{"a": "\\udc00\\ud800"}', "half a surrogate pair"),
        (b'{"\\ud800": 1}', "half a surrogate pair"),
        (b'{"\\ud800": 1, "\\ud800": 1}', "the key .* is there twice"),
        (b'{"a": "\xff"}', r"not UTF-8 \(byte 8 is 0xff\): save the file as UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "a whole number of 5001 digits is too long"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"hello", "not JSON: expecting value at character 1, near hello"),
        (b'{"a": 1,}', r"not JSON: .* at character [89], near"),  # 3.13 points at the comma
        (b'{"a": "\x01"}', "not JSON: invalid control character at character 8"),
        (b'{"a": 1} {"a": 2}', "not JSON: extra data at character 10"),
        (b"", "not JSON: expecting value at character 1"),
    ],
)
def test_the_reason_is_named(line: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        decode_strictly(line)


@pytest.mark.parametrize(
    ("before", "half"),
    [
        ("", "\\ud83d"),
        ("\\ud83d\\ude00", "\\uDE00"),
        ("\\\\ud83d ", "\\ud83dx"),
        ('\\n\\u00e9é\\"', "\\uD83D\\ud83d\\ude00"),
        ("x" * 100_000, "\\udfff"),
    ],
)
def test_half_a_surrogate_pair_is_shown(before: str, half: str) -> None:
    start = f'{{"a": "{before}'
    with pytest.raises(InvalidRequestError) as caught:
        decode_strictly(f'{start}{half}"}}'.encode())
    said = str(caught.value)
    assert f", at character {len(start) + 1}, near " in said
    assert said.endswith(f'{half}"}}')


def test_a_bad_place_is_shown_with_little_around_it() -> None:
    line = b'{"secret": "' + b"a" * 500 + b'" "b": "' + b"c" * 500 + b'"}'
    with pytest.raises(InvalidRequestError) as caught:
        decode_strictly(line)
    assert str(caught.value).endswith(" near " + "a" * 18 + '" "b": "' + "c" * 34 + "…")


@given(st.integers(min_value=-(10**60), max_value=10**60))
def test_whole_numbers_are_exact(number: int) -> None:
    assert decode_strictly(b"[%d]" % number) == [number]


@pytest.mark.parametrize("line", [b"1", b'"a"', b"null", b"1.5", b"[]", b"{}"])
def test_a_value_need_not_be_an_object(line: bytes) -> None:
    assert decode_strictly(line) == json.loads(line)


def test_text_is_decoded_or_refused() -> None:
    assert decode_text("größer".encode()) == "größer"
    with pytest.raises(InvalidRequestError, match=r"byte 3 is 0xf6"):
        decode_text(b"gr\xf6\xdfer")


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        (True, "true"),
        (None, "null"),
        ("größer", '"größer"'),
        ("two\nlines", '"two\\nlines"'),
        ("\ud800", '"\\ud800"'),
        ({"a": [1]}, '{"a": [1]}'),
    ],
)
def test_a_value_is_quoted_as_json(value: object, quoted: str) -> None:
    assert quote_value(value) == quoted


@given(st.text(st.characters(exclude_categories=[]), max_size=200))
def test_a_quotation_is_short_and_on_one_line(text: str) -> None:
    quoted = quote_value(text)
    assert len(quoted) <= MAX_EXCERPT_CHARS
    assert "\n" not in quoted
