"""Answers in the form of OpenAI's Chat Completions, whole or in a stream, and its imitators'.

Only the fields that are needed are decoded, each as whatever it is: what servers vary is looked
at where it is used, so that no oddity in one field costs an answer.
A whole answer is read as a stream of one piece.
Source: the type definitions of the Python package openai 3.57.0, and what the compatible servers
do otherwise, as of November 2026.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import attrs
import msgspec

from trillium._wire.fault_rules import (
    answer_fault,
    body_fault,
    decode_as,
)
from trillium._wire.json_text import count_in, list_in, mapping_in, text_in
from trillium._wire.openai_plain_answers import plain_answer
from trillium._wire.tool_call_builder import ToolCallBuilder
from trillium.completions import Answer, FinishReason, ToolCallDelta, Usage
from trillium.errors import ErrorKind, Fault
from trillium.messages import Part, RawPart, ReasoningPart, RefusalPart, TextPart

FINISH_REASONS: Final = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""OpenAI's words, Together's `eos` and Mistral's `model_length`."""

FAILED_FINISHES: Final = {
    # OpenRouter and Mistral; DeepSeek.
    "error": ErrorKind.SERVER_ERROR,
    "insufficient_system_resource": ErrorKind.OVERLOADED,
}
"""Finish reasons that say that the answer was broken off."""

# On Python 3.11 a member looked up in its enum costs three times a global.
_STOP: Final = FinishReason.STOP
_OTHER: Final = FinishReason.OTHER
_MAY_BE_EMPTY: Final = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER})
"""With these an answer may hold nothing: all was spent on thinking, or withheld."""


class _Said(msgspec.Struct, gc=False):
    """A message, or a delta of one."""

    content: object = None
    reasoning_content: object = None
    reasoning: object = None
    refusal: object = None
    tool_calls: object = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: object = None
    index: object = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: object = None
    cache_write_tokens: object = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: object = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: object = None
    completion_tokens: object = None
    total_tokens: object = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: object = None
    """DeepSeek's."""
    cost: object = None
    """OpenRouter's, in USD."""


class _Groq(msgspec.Struct, gc=False):
    usage: _Usage | None = None
    error: object = None


class ChatBody(msgspec.Struct, gc=False):
    """A whole answer, or a chunk of a stream."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: object = None
    model: object = None
    id: object = None
    service_tier: object = None
    x_groq: _Groq | None = None


SPARE: Final = frozenset({"usage", "x_groq"})

DECODER: Final = msgspec.json.Decoder(ChatBody)


def decode_answer_body(body: bytes) -> Answer | Fault:
    """Read the body of a 200; as `Dialect.decode`."""
    return plain_answer(body) or decode_any_body(body)


def decode_any_body(body: bytes) -> Answer | Fault:
    """Read the body of a 200, whatever form it has."""
    whole = decode_as(DECODER, body, spare=SPARE)
    if isinstance(whole, Fault):
        return whole
    if whole.error or not whole.choices:
        return body_fault(body)
    draft = ChatDraft()
    draft.add_about(whole)
    for choice in whole.choices:
        if not choice.index:
            draft.add_whole(choice)
    return draft.answer() if draft.said or draft.finish is not None else body_fault(body)


def _read_usage(said: _Usage) -> Usage | None:
    """Read the counts of OpenAI or DeepSeek; None if there are none."""
    if said.prompt_tokens is said.completion_tokens is None:
        return None
    prompt = count_in(said.prompt_tokens)
    output = count_in(said.completion_tokens)
    # Some servers (Gemini, some models) count thoughts in the total alone; they are billed.
    unsaid = count_in(said.total_tokens) - prompt - output
    if unsaid > 0:
        output += unsaid
    # Most of what follows is zero or missing, and is not looked at any further then.
    details = said.prompt_tokens_details
    cached = (details and details.cached_tokens) or said.prompt_cache_hit_tokens
    written = details and details.cache_write_tokens
    details_out = said.completion_tokens_details
    thought = (details_out and details_out.reasoning_tokens) or max(unsaid, 0)
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_tokens=min(count_in(cached), prompt) if cached else 0,
        cache_write_tokens=min(count_in(written), prompt) if written else 0,
        reasoning_tokens=min(count_in(thought), output) if thought else 0,
    )


def _read_cost(cost: object) -> Decimal | None:
    if not isinstance(cost, int | float) or isinstance(cost, bool):
        return None
    # The shortest decimal of a float is the text that it was read from.
    return Decimal(str(cost)) if math.isfinite(cost) and cost >= 0 else None


@attrs.define(eq=False, repr=False)
class ChatDraft:
    """What has come of one answer."""

    text: list[str] = attrs.field(factory=list, init=False)
    reasoning: list[str] = attrs.field(factory=list, init=False)
    refusal: list[str] = attrs.field(factory=list, init=False)
    raw_parts: list[RawPart] = attrs.field(factory=list, init=False)
    calls: ToolCallBuilder | None = attrs.field(default=None, init=False)
    said: bool = attrs.field(default=False, init=False)
    """Whether there was any content, were it empty."""
    finish: str | None = attrs.field(default=None, init=False)
    usage: _Usage | None = attrs.field(default=None, init=False)
    model: str | None = attrs.field(default=None, init=False)
    response_id: str | None = attrs.field(default=None, init=False)
    service_tier: str | None = attrs.field(default=None, init=False)

    def add_about(self, body: ChatBody) -> None:
        """Take what a body says beside its choices."""
        self.model = self.model or text_in(body.model) or None
        self.response_id = self.response_id or text_in(body.id) or None
        self.service_tier = text_in(body.service_tier) or self.service_tier
        if body.x_groq is not None:
            self.usage = body.x_groq.usage or self.usage
        if body.usage is not None:
            # Of running totals (vLLM), the last.
            self.usage = body.usage

    def add_whole(self, choice: _Choice) -> None:
        self.finish = text_in(choice.finish_reason) or None
        said = choice.message or choice.delta
        if said is not None:
            self._add_prose(said)
            if said.tool_calls is not None:
                for piece in self._pieces(said):
                    self.builder().add_whole(piece)

    def add_delta(self, said: _Said) -> list[ToolCallDelta]:
        self._add_prose(said)
        if said.tool_calls is None:
            return []
        builder = self.builder()
        deltas = [builder.add(piece) for piece in self._pieces(said)]
        return [delta for delta in deltas if delta is not None]

    def builder(self) -> ToolCallBuilder:
        if self.calls is None:
            self.calls = ToolCallBuilder()
        return self.calls

    def answer(self) -> Answer | Fault:
        """Return what has come as the answer that it is, or the fault."""
        native = self.finish
        if native in FAILED_FINISHES:
            kind = FAILED_FINISHES[native]
            return answer_fault(
                kind, f"the provider broke the answer off (finish_reason {native!r})"
            )
        calls = () if self.calls is None else self.calls.tool_calls()
        refusal = "".join(self.refusal)
        finish = FINISH_REASONS.get(native or "", _OTHER)
        if self._is_empty() and finish not in _MAY_BE_EMPTY:
            return answer_fault(ErrorKind.PROTOCOL_ERROR, "the answer holds no content at all")
        if finish is _STOP:
            # Some say `stop` for all; which one it is, is to be seen.
            if calls:
                finish = FinishReason.TOOL_CALLS
            elif refusal:
                finish = FinishReason.REFUSAL
        answer = Answer(
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            refusal=refusal,
            tool_calls=calls,
            finish_reason=finish,
            native_finish_reason=native,
            usage=None if self.usage is None else _read_usage(self.usage),
            cost_usd=None if self.usage is None else _read_cost(self.usage.cost),
            service_tier=self.service_tier,
            model=self.model,
            response_id=self.response_id,
        )
        if self.raw_parts:
            answer.parts = (*_prose_parts(answer), *self.raw_parts, *calls)
        return answer

    def _is_empty(self) -> bool:
        """Whether there is no content; an empty text is some if a finish reason confirms it."""
        if self.said and self.finish is not None:
            return False
        return not (self.text or self.reasoning or self.refusal or self.calls or self.raw_parts)

    def _pieces(self, said: _Said) -> Sequence[Mapping[str, object]]:
        pieces = [piece for piece in list_in(said.tool_calls) if isinstance(piece, dict)]
        self.said = self.said or bool(pieces)
        return pieces

    def _add_prose(self, said: _Said) -> None:
        if isinstance(said.content, str):
            self.said = True
            if said.content:
                self.text.append(said.content)
        elif said.content is not None:
            self._add_parts(said.content)
        thought = said.reasoning_content or said.reasoning
        if isinstance(thought, str) and thought:
            self.said = True
            self.reasoning.append(thought)
        if isinstance(said.refusal, str) and said.refusal:
            self.said = True
            self.refusal.append(said.refusal)

    def _add_parts(self, content: object) -> None:
        """Take content that is a list of parts (Mistral's reasoning models), or one part."""
        for part in content if isinstance(content, list) else [content]:
            if not isinstance(part, dict):
                continue
            self.said = True
            match part.get("type"):
                case "text":
                    _append(self.text, text_in(part.get("text")))
                case "thinking":
                    _append(self.reasoning, _thoughts_in(part.get("thinking")))
                case "refusal":
                    _append(self.refusal, text_in(part.get("refusal")))
                case _:
                    self.raw_parts.append(RawPart(part))


def _append(texts: list[str], text: str) -> None:
    if text:
        texts.append(text)


def _thoughts_in(thinking: object) -> str:
    if isinstance(thinking, list):
        return "".join(text_in(mapping_in(piece).get("text")) for piece in thinking)
    return text_in(thinking)


def _prose_parts(answer: Answer) -> list[Part]:
    parts: list[Part] = []
    if answer.reasoning:
        parts.append(ReasoningPart(text=answer.reasoning))
    if answer.text:
        parts.append(TextPart(answer.text))
    if answer.refusal:
        parts.append(RefusalPart(answer.refusal))
    return parts
