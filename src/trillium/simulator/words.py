"""What the parts of a simulator say to each other: requests, what they ask, replies, problems."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, Protocol, final

import attrs

from trillium.completions import FinishReason, Usage

DialectName = Literal["openai-chat", "anthropic"]


@final
@attrs.frozen(kw_only=True)
class SimulatedRequest:
    """An HTTP request as it came in."""

    method: str
    path: str
    """With the query, percent-encoded as it came."""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Names in lower case. They hold the key."""
    body: bytes = b""


@final
@attrs.frozen(kw_only=True)
class WantedTool:
    """A tool that the answer must call."""

    name: str
    schema: object
    """JSON schema of its arguments, as it came; it may be anything."""


@final
@attrs.frozen(kw_only=True)
class Asked:
    """What the body of a request asks, in either dialect."""

    model: str
    prompt: str
    """The text of the last message of the user."""
    input_tokens: int
    """About the bytes of all text by four."""
    stream: bool = False
    include_usage: bool = False
    """Whether a stream is to end with its usage, where that is a choice."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tool: WantedTool | None = None
    json: bool = False
    """Whether the text must be JSON."""
    schema: object = None
    """The JSON schema it must follow, if any; it may be anything."""


class SaidKind(enum.Enum):
    """What a part of a reply is."""

    REASONING = enum.auto()
    TEXT = enum.auto()
    TOOL_CALL = enum.auto()


@final
@attrs.frozen(kw_only=True)
class Said:
    """A part of a reply, token by token."""

    kind: SaidKind
    tokens: tuple[str, ...]
    """Of a tool call: the tokens of its arguments' JSON text."""
    name: str = ""
    """The tool's name."""

    @property
    def text(self) -> str:
        """All tokens together."""
        return "".join(self.tokens)


@final
@attrs.frozen(kw_only=True)
class Reply:
    """A whole answer, before it is put into the words of a dialect."""

    parts: tuple[Said, ...]
    finish_reason: FinishReason
    usage: Usage
    stop_sequence: str | None = None
    """Which of the request's stop sequences ended it."""

    def of_kind(self, kind: SaidKind) -> list[Said]:
        """Return the parts of one kind, in order."""
        return [part for part in self.parts if part.kind is kind]

    def text_of(self, kind: SaidKind) -> str:
        """Return the text of all parts of one kind."""
        return "".join(part.text for part in self.of_kind(kind))


@final
@attrs.frozen(kw_only=True)
class Stamp:
    """What is written on an answer besides what it says."""

    name: str
    """Hexadecimal digits that ids are made of."""
    created: int
    """Seconds since 1970."""

    def call_id(self, prefix: str, index: int) -> str:
        """Return the id of the tool call of that place in the answer."""
        return f"{prefix}{self.name[:22]}{index:02d}"


@final
@attrs.frozen(kw_only=True)
class Spoken:
    """An answer that is to be put into the words of a dialect."""

    asked: Asked
    reply: Reply
    stamp: Stamp


class Reason(enum.Enum):
    """Why there is no answer."""

    INVALID_JSON = enum.auto()
    INVALID_REQUEST = enum.auto()
    UNAUTHENTICATED = enum.auto()
    MODEL_NOT_FOUND = enum.auto()
    PATH_NOT_FOUND = enum.auto()
    METHOD_NOT_ALLOWED = enum.auto()
    BODY_TOO_LARGE = enum.auto()
    REQUESTS_EXCEEDED = enum.auto()
    """Too many requests."""
    TOKENS_EXCEEDED = enum.auto()
    """Too many tokens."""
    SERVER_ERROR = enum.auto()
    UNAVAILABLE = enum.auto()
    OVERLOADED = enum.auto()


STATUS: Final[Mapping[Reason, int]] = {
    Reason.INVALID_JSON: 400,
    Reason.INVALID_REQUEST: 400,
    Reason.UNAUTHENTICATED: 401,
    Reason.MODEL_NOT_FOUND: 404,
    Reason.PATH_NOT_FOUND: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.BODY_TOO_LARGE: 413,
    Reason.REQUESTS_EXCEEDED: 429,
    Reason.TOKENS_EXCEEDED: 429,
    Reason.SERVER_ERROR: 500,
    Reason.UNAVAILABLE: 503,
    Reason.OVERLOADED: 529,
}
"""The HTTP status of each, the same in all dialects."""


@final
@attrs.frozen(kw_only=True)
class Problem:
    """Why there is no answer, before it is put into the words of a dialect."""

    reason: Reason
    message: str
    param: str | None = None
    """The field at fault."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.reason]


class Face(Protocol):
    """One dialect as a provider speaks it."""

    @property
    def name(self) -> DialectName:
        """The dialect's name, as endpoints have it."""

    @property
    def keep_alive(self) -> bytes:
        """What a stream sends to show that it lives, without progress."""

    @property
    def request_id_header(self) -> str:
        """The header that names the response."""

    def read(self, request: SimulatedRequest) -> Asked | Problem:
        """Read a request for an answer."""

    def body(self, spoken: Spoken) -> bytes:
        """Return the JSON body of an answer."""

    def opening(self, spoken: Spoken) -> bytes:
        """Return the events that a stream begins with."""

    def events(self, spoken: Spoken) -> Iterator[bytes]:
        """Yield the events of each token, one item for each."""

    def closing(self, spoken: Spoken) -> bytes:
        """Return the events that a stream ends with."""

    def problem(self, problem: Problem, stamp: Stamp) -> bytes:
        """Return the JSON body of an error."""

    def error_event(self, problem: Problem, stamp: Stamp) -> bytes:
        """Return what a stream sends that fails in its middle."""

    def model_list(self, models: Sequence[str]) -> bytes:
        """Return the JSON body that tells of all models."""

    def model(self, name: str) -> bytes:
        """Return the JSON body that tells of one model."""
