"""The short cut for usual lines says what the careful reading says, or nothing at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.chat_requests import Defaults, make_request
from trillium._wire.plain_prompt_lines import plain_line
from trillium._wire.prompt_lines import parse_json_line
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request

DEFAULTS = Defaults(system="Be brief.", model="m", max_tokens=7)
TEXTS = st.text(max_size=8) | st.sampled_from(["", "\\", '"', '\\"', "null", "é\n"])
IDS = st.none() | st.integers() | TEXTS
CONVERSATIONS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "x"]), "content": TEXTS},
        optional={"name": TEXTS},
    ),
    max_size=3,
)
LINES = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS | st.booleans(),
        "prompt": st.none() | TEXTS,
        "messages": st.none() | CONVERSATIONS,
        "temperature": st.none() | st.floats(0, 2),
    },
)


def carefully(line: bytes) -> Request | str:
    """Read a line without the short cut: with a parameter that stands for nothing."""
    fields = line.rstrip()
    assert fields.endswith(b"}")
    comma = b"" if fields == b"{}" else b","
    try:
        return parse_json_line(fields[:-1] + comma + b'"store":null}', DEFAULTS)
    except InvalidRequestError as error:
        return str(error)


@given(fields=LINES, ascii=st.booleans())
@example(fields={"id": None, "prompt": "x"}, ascii=True)
@example(fields={"id": 10**30, "prompt": "x"}, ascii=True)
def test_a_line_is_read_as_it_is_without_the_short_cut(
    fields: dict[str, object],
    ascii: bool,  # noqa: A002  # as json.dumps has it
) -> None:
    line = json.dumps(fields, ensure_ascii=ascii).encode()
    plain = plain_line(line)
    if plain is not None:
        id_, messages = plain
        assert make_request(messages, {}, id=id_, defaults=DEFAULTS) == carefully(line)
        assert parse_json_line(line, DEFAULTS) == carefully(line)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"prompt": "a\\nb"}', (None, "a\nb")),
        (b'{"id": 7, "prompt": "say \\"x\\""}', (7, 'say "x"')),
        (b'{"id": "7", "messages": [{"role": "user", "content": ""}]}', ("7", "")),
    ],
)
def test_usual_lines_take_the_short_cut(line: bytes, found: tuple[object, str]) -> None:
    id_, text = found
    assert plain_line(line) == (id_, (Message("user", text),))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b'{"id": 1}',
        b'{"prompt": ""}',
        b'{"prompt": "a", "prompt": "b"}',
        b'{"prompt": "a", "pr\\u006fmpt": "b"}',
        b'{"prompt": "a", "id": null}',
        b'{"prompt": "a", "messages": [{"role": "user", "content": "b"}]}',
        b'{"prompt": "a", "max_tokens": 5}',
        b'{"prompt": "a\\\\"}',
        b'{"messages": [{"role": "tool", "content": "b"}]}',
        b'{"messages": [{"role": "user", "content": "b", "role": "user"}]}',
        b'{"prompt": "\xff"}',
    ],
)
def test_all_others_are_left_to_a_closer_look(line: bytes) -> None:
    assert plain_line(line) is None
