"""Messages in OpenAI's form become records, and what no record can hold is refused."""

from __future__ import annotations

import pytest

from trillium._wire.chat_messages import read_messages
from trillium.errors import InvalidRequestError
from trillium.messages import (
    ImagePart,
    Message,
    RawPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
)

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def read(**fields: object) -> Message:
    (message,) = read_messages([fields])
    return message


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_text_stays_text(role: str) -> None:
    message = read(role=role, content="Hello")
    assert (message.role, message.content) == (role, "Hello")


def test_a_name_and_what_is_null_or_empty_are_no_hindrance() -> None:
    message = read(role="user", content="Hello", name="ada", tool_calls=None, annotations=[])
    assert message == Message("user", "Hello", name="ada")


def test_a_tools_answer_names_its_call() -> None:
    message = read(role="tool", content=[{"type": "text", "text": "3"}], tool_call_id="c1")
    assert message == Message("tool", [TextPart("3")], tool_call_id="c1")


def test_parts_that_we_know_become_records() -> None:
    message = read(
        role="user",
        content=[
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": "https://x.example/b.png"},
        ],
    )
    assert message.content == (
        TextPart("What is this?"),
        ImagePart(url="https://x.example/a.png", detail="low"),
        ImagePart(base64="AAAA", media_type="image/png"),
        ImagePart(url="https://x.example/b.png"),
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://x.example"}, "cache_control": {}},
        {"type": "image_url", "image_url": {"url": "https://x.example", "crop": 1}},
        {"type": "refusal", "refusal": "No.", "why": 1},
    ],
)
def test_parts_that_no_record_can_hold_stay_as_they_are(part: dict[str, object]) -> None:
    assert read(role="user", content=[part]).content == (RawPart(part),)


def test_an_answer_is_taken_back_as_it_was_given() -> None:
    message = read(
        role="assistant",
        content="I look.",
        reasoning_content="Hm.",
        refusal="Not that.",
        tool_calls=[CALL],
        audio=None,
    )
    assert message.content == (
        ReasoningPart(text="Hm."),
        TextPart("I look."),
        RefusalPart("Not that."),
        ToolCall(id="c1", name="look", arguments="{}"),
    )


@pytest.mark.parametrize("content", [None, "", []])
def test_a_call_alone_is_content_enough(content: object) -> None:
    message = read(role="assistant", content=content, tool_calls=[CALL])
    assert message.content == (ToolCall(id="c1", name="look", arguments="{}"),)


def test_thoughts_have_two_names_and_parts_may_stand_beside() -> None:
    message = read(role="assistant", content=[{"type": "refusal", "refusal": "No."}], reasoning="?")
    assert message.content == (ReasoningPart(text="?"), RefusalPart("No."))


def test_further_fields_of_a_call_are_kept() -> None:
    call = {**CALL, "extra_content": {"google": {"thought_signature": "x"}}}
    assert read(role="assistant", tool_calls=[call]).content == (
        ToolCall(
            id="c1",
            name="look",
            arguments="{}",
            extra={"extra_content": {"google": {"thought_signature": "x"}}},
        ),
    )


def test_a_call_of_a_custom_tool_keeps_its_kind() -> None:
    call = {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    assert read(role="assistant", tool_calls=[call]).content == (
        ToolCall(id="c1", name="sql", arguments="select 1", extra={"type": "custom"}),
    )


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Hello", "a message is an object, not"),
        ({"content": "Hello"}, "unknown role null: one of assistant, developer"),
        ({"role": "bot", "content": "Hello"}, 'unknown role "bot"'),
        ({"role": ["user"], "content": "Hello"}, "unknown role"),
        ({"role": "user"}, "no content"),
        ({"role": "user", "content": []}, "no content"),
        ({"role": "assistant", "content": None, "tool_calls": []}, "no content"),
        ({"role": "user", "content": 5}, "content is text or a list of parts, not 5"),
        ({"role": "user", "content": ["Hello"]}, 'a part is an object with a "type"'),
        ({"role": "user", "content": [{"type": 1}]}, 'a part is an object with a "type"'),
        ({"role": "user", "content": [{"type": "text"}]}, "holds text under"),
        ({"role": "user", "content": [{"type": "image_url"}]}, 'holds {"url"'),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
            "data: address",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://x", "detail": 1}}],
            },
            "detail of an image is text, not 1",
        ),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, 'has no field "tool_calls"'),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, 'no field "audio"'),
        ({"role": "user", "content": "x", "name": 1}, "name is text, not 1"),
        ({"role": "tool", "content": "x"}, "tool_call_id"),
        ({"role": "user", "content": "x", "tool_call_id": "c1"}, "tool_call_id"),
        ({"role": "assistant", "content": "x", "tool_calls": {}}, "tool_calls is a list"),
        ({"role": "assistant", "content": "x", "reasoning": 1}, "reasoning is text, not 1"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(message: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as caught:
        read_messages([{"role": "user", "content": "Hello"}, message])
    assert str(caught.value).startswith("messages[1]: ")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (5, 'a tool call has a "function", not 5'),
        ({"id": "c1", "type": "magic", "magic": {}}, 'a tool call has a "function"'),
        ({"id": "c1", "type": "function"}, 'a tool call has a "function"'),
        ({"id": "c1", "type": ["x"]}, 'a tool call has a "function"'),
        ({**CALL, "id": None}, "id, name and arguments of a tool call are text"),
        ({**CALL, "function": {"name": "look", "arguments": {}}}, "of a tool call are text"),
        ({**CALL, "function": {"name": "look", "input": "{}"}}, "has a name and arguments"),
    ],
)
def test_a_call_that_is_none_is_refused(call: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        read_messages([{"role": "assistant", "tool_calls": [call]}])


@pytest.mark.parametrize("conversation", [[], None, "Hello", {"role": "user"}])
def test_a_conversation_is_a_list_of_messages(conversation: object) -> None:
    with pytest.raises(InvalidRequestError, match="messages is a list of at least one message"):
        read_messages(conversation)
