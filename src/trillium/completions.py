"""What comes back: completions, failures, and the chunks of a stream."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, final

import attrs

from trillium.errors import Fault, RequestError
from trillium.messages import (
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
)
from trillium.record_maker import quick_maker

_NO_HEADERS: Final[Mapping[str, str]] = {}
_NOTHING: Final = Decimal(0)


class FinishReason(enum.StrEnum):
    """Why the model stopped: one vocabulary over all dialects."""

    STOP = "stop"
    """It was done, or met a stop sequence."""
    LENGTH = "length"
    """`max_tokens` or the end of the context."""
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    """The provider's filter cut or withheld the answer."""
    REFUSAL = "refusal"
    """The model will not answer."""
    PAUSE = "pause"
    """The provider wants the answer sent back to go on."""
    OTHER = "other"
    """A word that is not known; `native_finish_reason` has it."""


class Reused(enum.StrEnum):
    """Why an outcome cost nothing: nothing was sent for its request."""

    DUPLICATE = "duplicate"
    """An equal request of the same batch was asked, and this is its outcome."""
    CACHE = "cache"
    """It was answered in an earlier job."""


@final
@attrs.frozen(kw_only=True, weakref_slot=False)  # see `new_usage`
class Usage:
    """Tokens, as the provider counted them, in one convention over all dialects.

    Cached and cache-write tokens are part of the input, reasoning tokens part of the output.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Input read from the provider's cache."""
    cache_write_tokens: int = 0
    """Input written to the provider's cache."""
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


@final
@attrs.define(kw_only=True, weakref_slot=False)  # see `new_answer`
class Answer:
    """What a dialect reads from a response's body, before the call's bookkeeping is added.

    Not frozen: one is made for each request, and a stream fills it as it comes.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    parts: tuple[Part, ...] | None = None
    """In the order of the answer; None where the fields above say it all."""
    finish_reason: FinishReason = FinishReason.OTHER
    native_finish_reason: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    """As the provider tells it; a few do."""
    service_tier: str | None = None
    model: str | None = None
    """The model as the provider names it in its answer."""
    response_id: str | None = None


@final
@attrs.frozen(kw_only=True, weakref_slot=False)  # see `new_completion`
class Completion:
    """The answer to one request, with what it took to get it."""

    id: str | int | None
    """The request's id, as it was given."""
    index: int
    """The request's place in its batch, from 0; of a single call always 0."""
    model: str
    """The name asked for."""
    endpoint: str
    text: str
    finish_reason: FinishReason
    native_finish_reason: str | None = None
    """The provider's own word."""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    """None where the provider did not tell."""
    cost_usd: Decimal | None = None
    """Of the attempt that answered, exactly; None where no price or no usage is known."""
    possibly_billed_usd: Decimal | None = _NOTHING
    """What the abandoned attempts cost at most, beside it; None where that is not known."""
    latency_s: float
    """Seconds from the first send to the last byte, retries and their waits included."""
    first_token_s: float | None = None
    """Seconds from the send of the attempt that answered to its first token; streams only."""
    attempts: int = 1
    """How many attempts were sent, this one included."""
    abandoned: int = 0
    """How many of the others may have been billed all the same."""
    faults: tuple[Fault, ...] = ()
    """What went wrong in the attempts before."""
    answered_model: str | None = None
    """The model as the provider named it in its answer."""
    service_tier: str | None = None
    response_id: str | None = None
    rate_limits: Mapping[str, str] = _NO_HEADERS
    """The rate-limit headers of the answer, names in lower case."""
    reused: Reused | None = None
    """Whose answer it is, if nothing was sent for it: then usage is None, and the cost nothing."""
    restored: bool = False
    """Whether it was read from a journal, and not made by this run."""
    _parts: tuple[Part, ...] | None = attrs.field(default=None, alias="parts", repr=False)

    @property
    def success(self) -> Literal[True]:
        """True: this is an answer."""
        return True

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer's parts in order: reasoning, text, refusal, tool calls."""
        if self._parts is not None:
            return self._parts
        parts: list[Part] = []
        if self.reasoning:
            parts.append(ReasoningPart(text=self.reasoning))
        if self.text:
            parts.append(TextPart(self.text))
        if self.refusal:
            parts.append(RefusalPart(self.refusal))
        return (*parts, *self.tool_calls)

    @property
    def message(self) -> Message:
        """The answer as an assistant message, to go on with the conversation."""
        return Message("assistant", self.parts)


# What makes the same records in a third of the time, for where one is made for each request.
new_usage: Final = quick_maker(Usage)
new_answer: Final = quick_maker(Answer)
new_completion: Final = quick_maker(Completion)


@final
@attrs.frozen(kw_only=True)
class Failure:
    """Why a request has no answer, with the same bookkeeping as a `Completion`."""

    id: str | int | None
    index: int
    model: str
    endpoint: str
    error: RequestError
    """The same object that a single call would have raised."""
    latency_s: float | None = None
    """Seconds from the first send to the end; None if nothing was sent."""
    attempts: int = 0
    abandoned: int = 0
    faults: tuple[Fault, ...] = ()
    """What went wrong, attempt by attempt."""
    possibly_billed_usd: Decimal | None = _NOTHING
    """What the abandoned attempts cost at most; None where that is not known."""
    rate_limits: Mapping[str, str] = _NO_HEADERS
    reused: Reused | None = None
    """Whose failure it is, if nothing was sent for this one."""
    restored: bool = False
    """Whether it was read from a journal, and not made by this run."""

    @property
    def success(self) -> Literal[False]:
        """False: there is no answer."""
        return False


Outcome = Completion | Failure
"""What becomes of a request."""


@final
@attrs.frozen(kw_only=True)
class ToolCallDelta:
    """A piece of a tool call in a stream."""

    index: int
    """Which call of this answer, from 0."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    """The next piece of the JSON text."""


@final
@attrs.define(kw_only=True)
class Chunk:
    """What one read of the socket brought of a streamed answer; never empty.

    Not frozen: made on the hot path of streams.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
