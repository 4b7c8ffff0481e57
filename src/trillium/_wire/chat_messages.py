"""Messages in the form of OpenAI's chat completions, read into our records.

Text, images, refusals and calls of functions have records; a part of any other kind is kept as
it is (`RawPart`), for the dialect that knows it. What a `Message` has no place for is refused
rather than dropped: an answer to half a conversation is paid for all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trillium._wire.strict_json import quote_value
from trillium.errors import InvalidRequestError
from trillium.messages import (
    ROLES,
    ImagePart,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
)

_OF_ALL: Final = frozenset({"role", "content", "name", "tool_call_id"})
_OF_ASSISTANT: Final = _OF_ALL | {"reasoning_content", "reasoning", "refusal", "tool_calls"}


def read_messages(conversation: Any) -> tuple[Message, ...]:
    """Return the messages of a conversation.

    Raises:
        InvalidRequestError: It is no list, or empty, or one of the messages (the error counts
            from 0) is not one that can be sent.
    """
    if type(conversation) is not list or not conversation:
        raise InvalidRequestError(
            f"messages is a list of at least one message, not {quote_value(conversation)}"
        )
    messages: list[Message] = []
    try:
        # It grows as far as the generator got, so that its length says which one is wrong.
        messages.extend(_read_message(fields) for fields in conversation)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"messages[{len(messages)}]: {error}") from None
    return tuple(messages)


def _read_message(fields: Any) -> Message:
    if type(fields) is not dict:
        raise InvalidRequestError(f"a message is an object, not {quote_value(fields)}")
    role = fields.get("role")
    if type(role) is not str or role not in ROLES:
        roles = ", ".join(sorted(ROLES))
        raise InvalidRequestError(f"unknown role {quote_value(role)}: one of {roles}")
    content = fields.get("content")
    if type(content) is str and len(fields) == 2:
        return Message(role, content)  # type: ignore[arg-type]  # a role: it is in ROLES
    known = _OF_ASSISTANT if role == "assistant" else _OF_ALL
    for key, value in fields.items():
        # Answers are often stored whole and sent again: `"audio": null, "annotations": []`.
        if key not in known and value is not None and value != []:
            raise InvalidRequestError(f"a message of role {role} has no field {quote_value(key)}")
    read = _read_content(content)
    if role == "assistant":
        read = _join(_read_thoughts(fields), read, _read_calls(fields))
    if read is None or read == []:
        raise InvalidRequestError('no content: "content" is text or a list of parts')
    return Message(
        role,  # type: ignore[arg-type]  # a role: it is in ROLES
        read,
        name=_read_optional(fields, "name"),
        tool_call_id=_read_optional(fields, "tool_call_id"),
    )


def _join(
    before: list[Part], content: str | list[Part] | None, after: list[Part]
) -> str | list[Part] | None:
    """Return the content with what stands beside it, in the order of an answer's parts."""
    if not before and not after:
        return content
    if isinstance(content, str):
        content = [TextPart(content)] if content else []
    return [*before, *(content or []), *after]


def _read_content(content: Any) -> str | list[Part] | None:
    if content is None or type(content) is str:
        return content
    if type(content) is not list:
        raise InvalidRequestError(f"content is text or a list of parts, not {quote_value(content)}")
    return [_read_part(part) for part in content]


def _read_part(fields: Any) -> Part:
    if type(fields) is not dict or type(fields.get("type")) is not str:
        raise InvalidRequestError(f'a part is an object with a "type", not {quote_value(fields)}')
    kind = fields["type"]
    if kind in ("text", "refusal"):
        text = fields.get(kind)
        if type(text) is not str:
            raise InvalidRequestError(f'a part of type "{kind}" holds text under "{kind}"')
        if len(fields) == 2:
            return TextPart(text) if kind == "text" else RefusalPart(text)
    elif kind == "image_url":
        image = _read_image(fields.get("image_url"))
        if len(fields) == 2 and image is not None:
            return image
    return RawPart(fields)


def _read_image(image: Any) -> ImagePart | None:
    """Return the image, or None if it has fields that an `ImagePart` has no place for."""
    if type(image) is str:
        return ImagePart.from_url(image)  # so written by Mistral's clients
    if type(image) is not dict or type(image.get("url")) is not str:
        raise InvalidRequestError('a part of type "image_url" holds {"url": "https://..."}')
    detail = image.get("detail")
    if detail is not None and type(detail) is not str:
        raise InvalidRequestError(f"detail of an image is text, not {quote_value(detail)}")
    part = ImagePart.from_url(image["url"], detail=detail)
    return part if {"url", "detail"}.issuperset(image) else None


def _read_thoughts(fields: Mapping[str, Any]) -> list[Part]:
    for name in ("reasoning_content", "reasoning"):
        if reasoning := _read_optional(fields, name):
            return [ReasoningPart(text=reasoning)]
    return []


def _read_calls(fields: Mapping[str, Any]) -> list[Part]:
    refusal = _read_optional(fields, "refusal")
    parts: list[Part] = [RefusalPart(refusal)] if refusal else []
    calls = fields.get("tool_calls")
    if calls is not None and type(calls) is not list:
        raise InvalidRequestError(f"tool_calls is a list, not {quote_value(calls)}")
    parts.extend(_read_call(call) for call in calls or ())
    return parts


def _read_call(call: Any) -> ToolCall:
    kind = call.get("type", "function") if type(call) is dict else None
    spoken = call.get(kind) if kind in ("function", "custom") else None
    if type(spoken) is not dict:
        raise InvalidRequestError(f'a tool call has a "function", not {quote_value(call)}')
    input_name = "arguments" if kind == "function" else "input"
    if not {"name", input_name}.issuperset(spoken):
        raise InvalidRequestError(f"the {kind} of a tool call has a name and {input_name}, no more")
    texts = (call.get("id"), spoken.get("name"), spoken.get(input_name))
    if not all(type(text) is str for text in texts):
        raise InvalidRequestError(f"id, name and {input_name} of a tool call are text")
    extra = {key: value for key, value in call.items() if key not in ("id", "type", kind)}
    if kind == "custom":
        extra["type"] = kind  # how such a call is told apart when it is written again
    return ToolCall(id=call["id"], name=spoken["name"], arguments=spoken[input_name], extra=extra)


def _read_optional(fields: Mapping[str, Any], name: str) -> str | None:
    text = fields.get(name)
    if text is not None and type(text) is not str:
        raise InvalidRequestError(f"{name} is text, not {quote_value(text)}")
    return text
