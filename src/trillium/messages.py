"""What a user asks: parts, messages, tools and the request that holds them.

A request that exists is valid in itself; whether a dialect can say it is the dialect's to
check, also before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, final

import attrs

from trillium.endpoints import Model
from trillium.errors import InvalidRequestError
from trillium.record_maker import quick_maker

Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
REASONING_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})

_EMPTY: Final[Mapping[str, Any]] = {}
# As `str | int` they would be made anew for each request, and take three times as long to look at.
_TEXT_OR_INT: Final = (str, int)
_TEXT_OR_MODEL: Final = (str, Model)


@final
@attrs.frozen
class TextPart:
    """A piece of text."""

    text: str


@final
@attrs.frozen(kw_only=True)
class ImagePart:
    """An image, by address or by value.

    Raises:
        InvalidRequestError: Neither or both of `url` and `base64` are given, or the latter
            without its media type.
    """

    url: str | None = None
    """`https:` address; a `data:` address is taken apart into the two fields below."""
    base64: str | None = attrs.field(default=None, repr=False)
    media_type: str | None = None
    """Such as `image/png`; with `base64` only."""
    detail: str | None = None
    """OpenAI's `auto`, `low` or `high`; other dialects leave it out."""

    def __attrs_post_init__(self) -> None:
        if (self.url is None) == (self.base64 is None):
            raise InvalidRequestError("an image part takes either url or base64")
        if not isinstance(self.base64, str | None):
            raise InvalidRequestError("an image part's base64 is text: b64encode(...).decode()")
        if self.base64 is not None and self.media_type is None:
            raise InvalidRequestError(
                "an image part with base64 needs its media_type (image/png, ...)"
            )

    @classmethod
    def from_url(cls, url: str, *, detail: str | None = None) -> ImagePart:
        """Return the part for an address, which may be a base64 `data:` address (RFC 2397)."""
        if not url.startswith("data:"):
            return cls(url=url, detail=detail)
        head, comma, payload = url[5:].partition(",")
        media_type, _, coding = head.partition(";")
        if not comma or coding != "base64" or not media_type:
            raise InvalidRequestError(
                "an image's data: address must be of the form data:image/png;base64,..."
            )
        return cls(base64=payload, media_type=media_type, detail=detail)


@final
@attrs.frozen(kw_only=True)
class ReasoningPart:
    """What a reasoning model thought, as far as the provider shows it."""

    text: str
    signature: str | None = None
    """Opaque; some providers want it back unchanged in the next turn."""
    redacted: str | None = attrs.field(default=None, repr=False)
    """Thoughts that the provider gives only enciphered, to be given back unchanged."""


@final
@attrs.frozen
class RefusalPart:
    """The model's own words for why it will not answer."""

    text: str


@final
@attrs.frozen(kw_only=True)
class ToolCall:
    """A call of a tool that the model asks for."""

    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it; it may be malformed."""
    extra: Mapping[str, Any] = attrs.field(default=_EMPTY, repr=False)
    """Further fields of the call on the wire, given back unchanged when it is replayed."""


@final
@attrs.frozen
class RawPart:
    """A part of a kind that trillium does not know, in its dialect's own form."""

    fields: Mapping[str, Any]


Part = TextPart | ImagePart | ReasoningPart | RefusalPart | ToolCall | RawPart


def _as_content(content: str | Sequence[Part | str]) -> str | tuple[Part, ...]:
    if isinstance(content, str):
        return content
    if not isinstance(content, Iterable):
        kind = type(content).__name__
        raise InvalidRequestError(f"a message's content is text, or parts, and not {kind}")
    parts = tuple(TextPart(part) if isinstance(part, str) else part for part in content)
    for part in parts:
        _check_part(part)
    return parts


def _check_part(part: object) -> None:
    # Here, and not in the parts themselves: those of answers are made on the hot path.
    texts: tuple[object, ...] = ()
    match part:
        case TextPart() | RefusalPart() | ReasoningPart():
            texts = (part.text,)
        case ToolCall() if isinstance(part.extra, Mapping):
            texts = (part.id, part.name, part.arguments)
        case ImagePart():
            pass
        case RawPart() if isinstance(part.fields, Mapping):
            pass
        case _:
            msg = f"a message's content holds text and parts, not {type(part).__name__}"
            raise InvalidRequestError(msg)
    for text in texts:
        if not isinstance(text, str):
            kind = type(part).__name__
            raise InvalidRequestError(f"a {kind} holds text, and not {type(text).__name__}")


@final
@attrs.frozen(weakref_slot=False)  # see `new_message`
class Message:
    """One message of a conversation.

    Raises:
        InvalidRequestError: An unknown role, or content that is neither text nor parts.
    """

    role: Role
    content: str | tuple[Part, ...] = attrs.field(converter=_as_content)
    """Text, or parts in order; an assistant's tool calls stand among its parts."""
    tool_call_id: str | None = attrs.field(default=None, kw_only=True)
    """Which call a `tool` message answers."""
    name: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.role, str) or self.role not in ROLES:
            msg = f"unknown role {self.role!r}: one of {', '.join(sorted(ROLES))}"
            raise InvalidRequestError(msg)
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise InvalidRequestError(
                "a tool message, and no other, says which call it answers (tool_call_id)"
            )


def system(content: str | Sequence[Part | str]) -> Message:
    """Return a system message."""
    return Message("system", content)


def user(content: str | Sequence[Part | str]) -> Message:
    """Return a user message."""
    return Message("user", content)


def assistant(content: str | Sequence[Part | str]) -> Message:
    """Return an assistant message; tool calls go among its parts."""
    return Message("assistant", content)


def tool(content: str | Sequence[Part | str], *, tool_call_id: str) -> Message:
    """Return the result of a tool call."""
    return Message("tool", content, tool_call_id=tool_call_id)


@final
@attrs.frozen(kw_only=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    """JSON schema of its arguments; None is a function without arguments."""
    strict: bool | None = None


@final
@attrs.frozen
class NamedTool:
    """As a `tool_choice`: this tool must be called."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


@final
@attrs.frozen(kw_only=True)
class JSONSchema:
    """As a `response_format`: the answer must be JSON of this schema.

    Raises:
        InvalidRequestError: The schema is no mapping: a class, say, that has one.
    """

    name: str
    schema: Mapping[str, Any]
    description: str | None = None
    strict: bool | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.schema, Mapping):
            kind = type(self.schema).__name__
            raise InvalidRequestError(f"the schema of a JSONSchema is a mapping, and not {kind}")


ResponseFormat = Literal["text", "json"] | JSONSchema


def _as_messages(messages: str | Message | Iterable[Message]) -> tuple[Message, ...]:
    if isinstance(messages, str):
        return (Message("user", messages),)
    if isinstance(messages, Message):
        return (messages,)
    if not isinstance(messages, Iterable):
        kind = type(messages).__name__
        raise InvalidRequestError(f"messages is text, or Message objects, and not {kind}")
    return tuple(messages)


def _as_stop(stop: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if stop is None:
        return None
    if not isinstance(stop, Iterable):
        raise InvalidRequestError(f"stop is a text or several, and not {stop!r}")
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _as_tools(tools: Iterable[Tool] | None) -> tuple[Tool, ...] | None:
    if tools is None:
        return None
    if isinstance(tools, Iterable):
        read = tuple(tools)
        if all(isinstance(tool, Tool) for tool in read):
            return read
    raise InvalidRequestError(
        "tools holds Tool objects: what a provider has beside them goes into extra_body"
    )


@final
@attrs.frozen(weakref_slot=False)  # see `new_request`
class Request:
    """What a user wants of a model. What is None is not sent.

    Raises:
        InvalidRequestError: No message, or a parameter of the wrong type or range.
    """

    messages: tuple[Message, ...] = attrs.field(converter=_as_messages)
    """The conversation; a bare string is one user message."""
    model: str | Model | None = attrs.field(default=None, kw_only=True)
    """A `str` is the name on the wire, sent as it is; None is the client's default model."""
    temperature: float | None = attrs.field(default=None, kw_only=True)
    max_tokens: int | None = attrs.field(default=None, kw_only=True)
    """Bound on the output in tokens, reasoning included."""
    top_p: float | None = attrs.field(default=None, kw_only=True)
    stop: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=_as_stop)
    seed: int | None = attrs.field(default=None, kw_only=True)
    tools: tuple[Tool, ...] | None = attrs.field(default=None, kw_only=True, converter=_as_tools)
    tool_choice: ToolChoice | None = attrs.field(default=None, kw_only=True)
    response_format: ResponseFormat | None = attrs.field(default=None, kw_only=True)
    reasoning_effort: ReasoningEffort | None = attrs.field(default=None, kw_only=True)
    metadata: Mapping[str, str] | None = attrs.field(default=None, kw_only=True)
    """Sent to the provider where its dialect has a place for it."""
    id: str | int | None = attrs.field(default=None, kw_only=True)
    """Yours, never sent: text or a whole number, given back as it is."""
    extra_body: Mapping[str, Any] = attrs.field(default=_EMPTY, kw_only=True)
    """What a provider adds, merged into the body as it is; it may not hold `n` above 1."""

    def __attrs_post_init__(self) -> None:
        if not self.messages:
            raise InvalidRequestError("a request needs at least one message")
        for message in self.messages:
            if not isinstance(message, Message):
                kind = type(message).__name__
                raise InvalidRequestError(
                    f"messages holds Message objects (or is one string), not {kind}"
                )
        if self.id is not None and (
            isinstance(self.id, bool) or not isinstance(self.id, _TEXT_OR_INT)
        ):
            raise InvalidRequestError(f"an id is text or a whole number, not {self.id!r}")
        if self.model is not None and not isinstance(self.model, _TEXT_OR_MODEL):
            raise InvalidRequestError(f"model is a name or a Model, and not {self.model!r}")
        self._check_sampling()
        if self.reasoning_effort is not None:
            self._check_effort(self.reasoning_effort)
        if self.tool_choice is not None and not isinstance(self.tool_choice, str | NamedTool):
            msg = f"tool_choice is auto, none, required or a NamedTool, not {self.tool_choice!r}"
            raise InvalidRequestError(msg)
        wanted = self.response_format
        if wanted is not None and not isinstance(wanted, str | JSONSchema):
            msg = f"response_format is text, json or a JSONSchema, and not {wanted!r}"
            raise InvalidRequestError(msg)
        if self.metadata is not None and not isinstance(self.metadata, Mapping):
            raise InvalidRequestError(f"metadata is a mapping, and not {self.metadata!r}")
        if self.extra_body is not _EMPTY:
            if not isinstance(self.extra_body, Mapping):
                raise InvalidRequestError(f"extra_body is a mapping, and not {self.extra_body!r}")
            check_choices(self.extra_body.get("n"))

    def _check_sampling(self) -> None:
        if self.temperature is not None:
            _check_number("temperature", self.temperature, low=0.0, high=2.0)
        if self.top_p is not None:
            _check_number("top_p", self.top_p, low=0.0, high=1.0)
        if self.max_tokens is not None:
            _check_int("max_tokens", self.max_tokens, low=1)
        if self.seed is not None:
            _check_int("seed", self.seed, low=None)
        if self.stop is not None and not all(isinstance(word, str) and word for word in self.stop):
            raise InvalidRequestError("stop holds texts that are not empty")

    def _check_effort(self, effort: object) -> None:
        if not (isinstance(effort, str) and effort in REASONING_EFFORTS):
            known = ", ".join(sorted(REASONING_EFFORTS))
            raise InvalidRequestError(f"unknown reasoning_effort {effort!r}: one of {known}")


new_message: Final = quick_maker(Message)
new_request: Final = quick_maker(Request)
"""Make messages and requests that are known to be valid, in a third of the time."""


def as_request(prompt: str | Message | Request) -> Request:
    """Return the request that a bare prompt stands for."""
    if type(prompt) is str and prompt:
        return new_request(messages=(new_message(role="user", content=prompt),))
    return prompt if isinstance(prompt, Request) else Request(prompt)


def check_choices(n: object) -> None:
    """Refuse more than one choice per request: it multiplies the bill.

    Raises:
        InvalidRequestError: `n` is given and not 1.
    """
    if n is not None and (isinstance(n, bool) or n != 1):
        msg = (
            f"n is {n!r}, which multiplies the bill: send the request as often as you want answers"
        )
        raise InvalidRequestError(msg)


def _check_number(name: str, value: object, *, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRequestError(f"{name} is a number, not {value!r}")
    if not low <= value <= high:
        raise InvalidRequestError(f"{name} is {value!r}: it goes from {low:g} to {high:g}")


def _check_int(name: str, value: object, *, low: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequestError(f"{name} is a whole number, not {value!r}")
    if low is not None and value < low:
        raise InvalidRequestError(f"{name} is {value}: it must be at least {low}")
