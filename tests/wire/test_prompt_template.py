"""A template says what to ask of a row, and what it cannot say is refused."""

from __future__ import annotations

import pytest

from trillium._wire.chat_requests import Defaults
from trillium._wire.prompt_template import PromptTemplate, parse_row
from trillium.errors import InvalidRequestError
from trillium.messages import Message

DEFAULTS = Defaults(max_tokens=5)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("Translate: {text}", "Translate: {hi}"),
        ("{text}{text}", "{hi}{hi}"),
        ("{{text}} of {n}: {two words}", "{text} of 1.5: x"),
        ("{list}", "[1,true]"),
    ],
)
def test_columns_stand_where_they_are_named(text: str, prompt: str) -> None:
    row = {"text": "{hi}", "n": 1.5, "two words": "x", "list": [1, True]}
    assert PromptTemplate(text).fill(row) == prompt


def test_a_row_is_a_request_with_the_defaults() -> None:
    request = parse_row(b'{"id":7,"a":"x","b":null}', DEFAULTS, PromptTemplate("say {a}"))
    assert (request.messages, request.id) == ((Message("user", "say x"),), 7)
    assert request.max_tokens == 5
    assert parse_row(b'{"prompt":"p"}', DEFAULTS, None).messages[0].content == "p"
    assert PromptTemplate("{a}{b}{a}").columns == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no column", "names no column"),
        ("{}", "more or less than the name"),
        ("{a:>5}", "more or less than the name"),
        ("{a!r}", "more or less than the name"),
        ("{a", "write {{ and }} for braces"),
        ("a}", "write {{ and }} for braces"),
    ],
)
def test_a_template_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        PromptTemplate(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"b":1}', 'no column "a": there are b$'),
        (b"{}", 'no column "a": there are none$'),
        (b'{"a":null}', 'nothing stands in the column "a"'),
        (b'{"a":""}', "the prompt is empty"),
        (b'{"a":"x","id":1.5}', "an id is text or a whole number"),
        (b"[1]", "a row is an object"),
    ],
)
def test_a_row_that_makes_no_prompt_is_refused(line: bytes, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        parse_row(line, DEFAULTS, PromptTemplate("{a}"))


def test_without_a_template_the_way_to_one_is_told() -> None:
    with pytest.raises(InvalidRequestError, match=r"there are text; .* --prompt"):
        parse_row(b'{"text":"x"}', DEFAULTS, None)
