"""The usual answer of an OpenAI-like server, read in one go: one text, and counts that add up.

A short cut past `openai_answers.py` and nothing more: an answer of any other form, or with any
oddity, is left to that, and of those that are read here it says the same (a property that is
tested). It takes 2.5 µs in the place of 6, on every call.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from trillium._wire.json_text import MAX_COUNT
from trillium.completions import Answer, FinishReason, new_answer, new_usage

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]

_FINISH_REASONS: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class _PlainMessage(msgspec.Struct, gc=False):
    content: str
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    tool_calls: None = None


class _PlainChoice(msgspec.Struct, gc=False):
    message: _PlainMessage
    finish_reason: Literal["stop", "length"]
    index: Annotated[int, msgspec.Meta(ge=0, le=0)] | None = None
    delta: None = None


class _PlainDetails(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None


class _PlainUsage(msgspec.Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count
    prompt_tokens_details: _PlainDetails | None = None
    completion_tokens_details: _PlainDetails | None = None
    prompt_cache_hit_tokens: None = None
    cost: None = None


class _PlainBody(msgspec.Struct, gc=False):
    """An answer of one text, with all that is told of it in its usual form."""

    choices: Annotated[list[_PlainChoice], msgspec.Meta(min_length=1, max_length=1)]
    usage: _PlainUsage
    model: str
    id: str
    service_tier: str | None = None
    error: None = None
    x_groq: None = None


_DECODER: Final = msgspec.json.Decoder(_PlainBody)


def plain_answer(body: bytes) -> Answer | None:
    """Return the answer that a body holds; None where it needs a closer look."""
    try:
        plain = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    usage = plain.usage
    prompt, output = usage.prompt_tokens, usage.completion_tokens
    details, details_out = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    written = (details.cache_write_tokens or 0) if details else 0
    thought = (details_out.reasoning_tokens or 0) if details_out else 0
    if usage.total_tokens > prompt + output or max(cached, written) > prompt or thought > output:
        return None  # the counts do not add up, and so mean something else
    choice = plain.choices[0]
    return new_answer(
        choice.message.content,
        "",  # no reasoning ...
        "",  # ... no refusal ...
        (),  # ... and no tool calls
        None,
        _FINISH_REASONS[choice.finish_reason],
        choice.finish_reason,
        new_usage(prompt, output, cached, written, thought),
        None,  # the provider told no cost
        plain.service_tier or None,
        plain.model or None,
        plain.id or None,
    )
