"""The forms that a line of an input file may have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.chat_requests import Defaults
from trillium._wire.prompt_lines import parse_json_line, parse_text_line
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request

NO_DEFAULTS = Defaults()
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
BATCH = {"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": BODY}


def parse(fields: object, defaults: Defaults = NO_DEFAULTS) -> Request:
    return parse_json_line(json.dumps(fields).encode(), defaults)


def test_a_prompt_is_a_user_message() -> None:
    assert parse({"id": "r1", "prompt": "Hello"}) == Request("Hello", id="r1")


def test_parameters_stand_beside_the_prompt() -> None:
    assert parse({"prompt": "Hello", "top_p": 1}) == Request("Hello", top_p=1)


def test_messages_are_a_conversation() -> None:
    assert parse({"id": 2, **BODY}) == Request("Hello", id=2, model="m")


def test_a_batch_line_holds_the_body() -> None:
    assert parse(BATCH) == Request("Hello", id="r1", model="m")


def test_a_batch_line_may_leave_out_method_and_address() -> None:
    """Mistral's form of it."""
    assert parse({"custom_id": "r1", "body": BODY}) == Request("Hello", id="r1", model="m")
    assert parse({"body": BODY}).id is None


def test_defaults_hold_for_every_form() -> None:
    defaults = Defaults(system="Be brief.", model="d", temperature=0.5)
    opening = Message("system", "Be brief.")
    for request in (
        parse({"prompt": "Hello"}, defaults),
        parse({"messages": BODY["messages"]}, defaults),
        parse({"body": {"messages": BODY["messages"]}}, defaults),
        parse_text_line(b"Hello", defaults),
    ):
        messages = (opening, Message("user", "Hello"))
        assert request == Request(messages, model="d", temperature=0.5)


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), st.booleans())
def test_an_id_comes_back_as_it_is(id_: str | int, ascii_only: bool) -> None:
    for name, rest in (("id", {"prompt": "x"}), ("custom_id", {"body": BODY})):
        line = json.dumps({name: id_, **rest}, ensure_ascii=ascii_only).encode()
        read = parse_json_line(line, NO_DEFAULTS).id
        assert read == id_
        assert type(read) is type(id_)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_prompt_comes_through_as_it_is(prompt: str) -> None:
    assert parse({"prompt": prompt}) == Request(prompt)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([1], 'a line is an object such as {"id"'),
        ("Hello", "a line is an object"),
        ({"id": "1"}, 'no prompt: a line has "prompt" or "messages"$'),
        ({"promt": "x"}, 'is "promt" a slip for prompt\\?'),
        ({"mesages": []}, 'is "mesages" a slip for messages\\?'),
        ({"prompt": ""}, "a prompt is text that is not empty"),
        ({"prompt": None}, "a prompt is text that is not empty, not null"),
        ({"prompt": ["x"]}, "a prompt is text"),
        ({"prompt": "x", **BODY}, "not both"),
        ({"messages": []}, "at least one message"),
        ({"id": None, "prompt": "x"}, "an id is text or a whole number, not null"),
        ({"id": True, "prompt": "x"}, "an id is text or a whole number, not true"),
        ({"id": 1.0, "prompt": "x"}, "an id is text or a whole number, not 1.0"),
        ({"id": ["x"], "prompt": "x"}, "an id is text or a whole number"),
        ({"prompt": "x", "tempreature": 1}, "did you mean temperature"),
        ({**BATCH, "custom_id": 1.5}, "leave custom_id out"),
        ({**BATCH, "method": "GET"}, 'method is "POST", not "GET"'),
        ({**BATCH, "url": "/v1/embeddings"}, "no other is served"),
        ({**BATCH, "url": "/v1/responses"}, "no other is served"),
        ({**BATCH, "url": "https://api.example/v1/chat/completions"}, "no other is served"),
        ({**BATCH, "url": None}, "no other is served"),
        ({**BATCH, "id": "1"}, 'unknown field "id": a batch line has custom_id, method'),
        ({**BATCH, "body": "x"}, "a body is an object"),
        ({**BATCH, "body": {**BODY, "n": 2}}, "multiplies the bill"),
        ({"custom_id": "1", "prompt": "x"}, 'has a "body"'),
    ],
)
def test_what_is_no_request_is_refused(fields: Any, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        parse(fields)


@pytest.mark.parametrize(
    "line", [b'{"id": 1, "id": 2, "prompt": "x"}', b'{"body": {"messages": [], "messages": []}}']
)
def test_a_key_is_there_once(line: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="twice in one object"):
        parse_json_line(line, NO_DEFAULTS)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_of_text_is_a_prompt(end: bytes) -> None:
    assert parse_text_line(b' {"a": 1} ' + end, NO_DEFAULTS) == Request(' {"a": 1} ')


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="not UTF-8"):
        parse_text_line(b"gr\xf6\xdfer", NO_DEFAULTS)
