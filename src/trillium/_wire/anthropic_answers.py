"""Answers in the form of Anthropic's Messages, whole or in a stream.

Blocks of an unknown kind are kept as they are.
Source: the Python package anthropic 2.13.0 and the pages on streaming at platform.claude.com, read
in November 2026.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec

from trillium._wire.fault_rules import (
    answer_fault,
    body_fault,
    decode_as,
)
from trillium._wire.json_text import (
    NotJSONError,
    count_in,
    json_of,
    parse_json,
    text_in,
)
from trillium.completions import Answer, FinishReason, Usage
from trillium.errors import ErrorKind, Fault
from trillium.messages import Part, RawPart, ReasoningPart, TextPart, ToolCall

FINISH_REASONS: Final = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "refusal": FinishReason.REFUSAL,
}

_OTHER: Final = FinishReason.OTHER
PROSE: Final = ("text", "thinking", "redacted_thinking")
_TOOL_USE_FIELDS: Final = frozenset({"type", "id", "name", "input"})


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: object = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: object = None
    cache_creation_input_tokens: object = None
    cache_read_input_tokens: object = None
    output_tokens: object = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: object = None

    def updated(self, later: _Usage) -> _Usage:
        """Return the counts with those that are in `later` in their place: they are totals."""
        return _Usage(
            **{
                name: getattr(self, name) if value is None else value
                for name in self.__struct_fields__
                for value in (getattr(later, name),)
            }
        )


class _StopDetails(msgspec.Struct, gc=False):
    explanation: object = None


class _Message(msgspec.Struct, gc=False):
    content: list[dict[str, Any]] | None = None
    stop_reason: object = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None
    model: object = None
    id: object = None
    type: object = None
    error: object = None


class Delta(msgspec.Struct, gc=False):
    type: object = None
    text: object = None
    partial_json: object = None
    thinking: object = None
    signature: object = None
    stop_reason: object = None
    stop_details: _StopDetails | None = None


class Event(msgspec.Struct, gc=False):
    type: object = None
    index: int | None = None
    delta: Delta | None = None
    content_block: dict[str, Any] | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: object = None


SPARE: Final = frozenset({"usage", "stop_details"})

_body_decoder: Final = msgspec.json.Decoder(_Message)
EVENT_DECODER: Final = msgspec.json.Decoder(Event)


def decode_answer_body(body: bytes) -> Answer | Fault:
    """Read the body of a 200; as `Dialect.decode`."""
    message = decode_as(_body_decoder, body, spare=SPARE)
    if isinstance(message, Fault):
        return message
    if message.error or message.content is None or message.type == "error":
        return body_fault(body)
    draft = MessageDraft()
    draft.add_message(message)
    for block in message.content:
        draft.begin_block(block)
    return draft.answer()


@attrs.define(eq=False, repr=False)
class Block:
    """A content block, as far as it has come."""

    start: dict[str, Any]
    """As it began; whole already if it did not come in a stream."""
    pieces: list[str] = attrs.field(factory=list, init=False)
    """Its text, its thoughts, or the JSON of its input."""
    signature: str = attrs.field(default="", init=False)
    call_number: int = attrs.field(default=0, kw_only=True)
    """For a tool call: which one of the answer it is, from 0."""

    def part(self) -> Part:
        """Return the part that the block is."""
        joined = "".join(self.pieces)
        match self.start.get("type"):
            case "text":
                return TextPart(joined)
            case "thinking":
                return ReasoningPart(text=joined, signature=self.signature or None)
            case "redacted_thinking":
                return ReasoningPart(text="", redacted=text_in(self.start.get("data")))
            case "tool_use":
                return self._tool_call(joined)
            case _:
                return RawPart(self._with_input(joined))

    def _tool_call(self, arguments: str) -> ToolCall:
        extra = {k: v for k, v in self.start.items() if k not in _TOOL_USE_FIELDS}
        return ToolCall(
            id=text_in(self.start.get("id")) or f"call_{self.call_number}",
            name=text_in(self.start.get("name")),
            arguments=arguments or json_of(self.start.get("input") or {}),
            extra=extra,
        )

    def _with_input(self, arguments: str) -> dict[str, Any]:
        """A block of a server's tool, whose input comes in pieces too."""
        if not arguments:
            return self.start
        try:
            return {**self.start, "input": parse_json(arguments.encode())}
        except NotJSONError:
            return self.start


@attrs.define(eq=False, repr=False)
class MessageDraft:
    """What has come of one answer."""

    blocks: list[Block] = attrs.field(factory=list, init=False)
    calls: int = attrs.field(default=0, init=False)
    stop: str | None = attrs.field(default=None, init=False)
    explanation: str = attrs.field(default="", init=False)
    usage: _Usage | None = attrs.field(default=None, init=False)
    model: str | None = attrs.field(default=None, init=False)
    response_id: str | None = attrs.field(default=None, init=False)

    def add_message(self, message: _Message) -> None:
        """Take what a message says beside its content."""
        self.model = text_in(message.model) or None
        self.response_id = text_in(message.id) or None
        self.add_stop(message.stop_reason, message.stop_details)
        self.add_usage(message.usage)

    def add_stop(self, reason: object, details: _StopDetails | None) -> None:
        self.stop = text_in(reason) or self.stop
        if details is not None:
            self.explanation = text_in(details.explanation) or self.explanation

    def add_usage(self, usage: _Usage | None) -> None:
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage.updated(usage)

    def begin_block(self, start: dict[str, Any]) -> Block:
        block = Block(start, call_number=self.calls)
        self.blocks.append(block)
        match start.get("type"):
            case "text" | "thinking" as kind:
                if piece := text_in(start.get(kind)):
                    block.pieces.append(piece)
                block.signature = text_in(start.get("signature"))
            case "tool_use":
                self.calls += 1
        return block

    def answer(self) -> Answer | Fault:
        """Return what has come as the answer that it is, or the fault."""
        if not self.blocks and self.stop is None:
            return answer_fault(ErrorKind.PROTOCOL_ERROR, "the answer holds no content at all")
        parts = tuple([block.part() for block in self.blocks])
        calls = tuple([part for part in parts if isinstance(part, ToolCall)])
        thoughts = [part.text for part in parts if isinstance(part, ReasoningPart)]
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        return Answer(
            text="".join(texts),
            reasoning="".join(thoughts),
            refusal=self.explanation,
            tool_calls=calls,
            # The usual answer is one text, then calls: its fields say it all.
            parts=None if (*map(TextPart, texts[:1]), *calls) == parts else parts,
            finish_reason=FINISH_REASONS.get(self.stop or "", _OTHER),
            native_finish_reason=self.stop,
            usage=None if self.usage is None else _read_usage(self.usage),
            service_tier=None if self.usage is None else text_in(self.usage.service_tier) or None,
            model=self.model,
            response_id=self.response_id,
        )


def _read_usage(said: _Usage) -> Usage | None:
    """Read the counts, None if there are none; what was cached is not in `input_tokens` here."""
    if said.input_tokens is said.output_tokens is None:
        return None
    cached = count_in(said.cache_read_input_tokens)
    written = count_in(said.cache_creation_input_tokens)
    output = count_in(said.output_tokens)
    details = said.output_tokens_details
    return Usage(
        input_tokens=count_in(said.input_tokens) + cached + written,
        output_tokens=output,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=0 if details is None else min(count_in(details.thinking_tokens), output),
    )
