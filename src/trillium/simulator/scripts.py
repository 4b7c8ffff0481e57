"""What a test wants answered: to the n-th request, or to those with a certain prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, final

import attrs
import msgspec

from trillium.completions import FinishReason
from trillium.errors import InvalidRequestError
from trillium.simulator.replies import finished, tokens_of
from trillium.simulator.settings import FaultKind, SimulatorSettings, check_seconds
from trillium.simulator.words import Asked, DialectName, Reply, Said, SaidKind

NO_BODY: Final = frozenset({204, 205, 304})
"""Statuses whose responses have no body (RFC 9110, 15)."""
FRAMING: Final = frozenset({"content-length", "transfer-encoding"})

_NO_HEADERS: Final[Mapping[str, str]] = {}


def _as_body(body: object) -> bytes | None:
    match body:
        case None | bytes():
            return body
        case str():
            return body.encode()
        case _:
            return msgspec.json.encode(body)


def _check_status(_: object, __: object, value: object) -> None:
    if not (isinstance(value, int) and 200 <= value <= 599 and value not in NO_BODY):
        msg = f"status is {value!r}: give an HTTP status from 200 to 599 that has a body"
        raise InvalidRequestError(msg)


def _check_headers(_: object, __: object, value: Mapping[str, str]) -> None:
    for name, text in value.items():
        if name.lower() in FRAMING:
            raise InvalidRequestError(f"{name} follows from the body: use a fault to break it")
        if not (name.replace("-", "").isalnum() and text.isascii() and text.isprintable()):
            raise InvalidRequestError(f"{name!r}: {text!r} is no header field")


@final
@attrs.frozen
class ScriptedToolCall:
    """A tool call that an answer makes."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"
    """JSON text, malformed if you like, or what it says."""

    @property
    def json(self) -> str:
        """The arguments as JSON text."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments)


def _as_calls(calls: Iterable[ScriptedToolCall]) -> tuple[ScriptedToolCall, ...]:
    return tuple(calls)  # not `tuple` itself, of whose type nothing can be inferred


@final
@attrs.frozen(kw_only=True)
class Scripted:
    """One answer as a test wants it; what is not given is as without a script.

    Raises:
        InvalidRequestError: A value that HTTP could not carry.
    """

    text: str | None = None
    """The answer's text; the error's message where `status` is an error."""
    reasoning: str = ""
    tool_calls: tuple[ScriptedToolCall, ...] = attrs.field(default=(), converter=_as_calls)
    finish_reason: FinishReason | None = None
    """In place of what would follow from the rest."""
    status: int = attrs.field(default=200, validator=_check_status)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, validator=_check_headers)
    """Further headers, or others in place of those that would be sent; names in lower case."""
    body: bytes | None = attrs.field(default=None, converter=_as_body)
    """The whole body, sent as it is: text, or anything that can be JSON."""
    fault: FaultKind | None = None
    latency_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(check_seconds)
    )
    """Seconds to the first token, or to the error."""

    def reply(self, asked: Asked, settings: SimulatorSettings, ordinary: Reply) -> Reply:
        """Return the answer that the script gives in place of the ordinary one."""
        parts = []
        if self.reasoning:
            parts.append(Said(kind=SaidKind.REASONING, tokens=tokens_of(self.reasoning)))
        if self.text is not None:
            parts.append(Said(kind=SaidKind.TEXT, tokens=tokens_of(self.text)))
        for call in self.tool_calls:
            tokens = tokens_of(call.json) or ("",)  # its name is sent with the first one
            parts.append(Said(kind=SaidKind.TOOL_CALL, tokens=tokens, name=call.name))
        reply = finished(asked, settings, tuple(parts)) if parts else ordinary
        if self.finish_reason is None:
            return reply
        return attrs.evolve(reply, finish_reason=self.finish_reason, stop_sequence=None)


@final
@attrs.frozen(kw_only=True)
class Arrival:
    """A request that a script is asked about."""

    number: int
    """Which one of all that came, from 1."""
    attempt: int
    """How often this very body has come, this time included."""
    dialect: DialectName
    asked: Asked


Line = Scripted | FaultKind | str | None
"""What a script says: an answer, a fault, a text to answer; None leaves the request alone."""
Script = Callable[[Arrival], Line] | Iterable[Line]
"""A function that is asked about each request, or what to do with one after the other."""


@final
@attrs.define
class Scripts:
    """All scripts of a simulator; the first that has a word for a request is heard."""

    _lines: list[tuple[str | None, Callable[[Arrival], Line]]] = attrs.field(factory=list)

    def add(self, script: Script, *, prompt: str | None) -> None:
        """Add a script, for all requests or for those whose prompt contains `prompt`.

        Raises:
            InvalidRequestError: A single line: whether it is for once or always is not plain.
        """
        if isinstance(script, str | Scripted):
            msg = "a script is a list, one line for each request, or a function for all of them"
            raise InvalidRequestError(msg)
        lines = script if callable(script) else _one_by_one(iter(script))
        self._lines.append((prompt, lines))

    def clear(self) -> None:
        """Forget all scripts."""
        self._lines.clear()

    def line(self, arrival: Arrival) -> Scripted | None:
        """Return what is to be answered, if a script says."""
        for prompt, lines in self._lines:
            if prompt is None or prompt in arrival.asked.prompt:
                match lines(arrival):
                    case None:
                        continue
                    case FaultKind() as fault:
                        return Scripted(fault=fault)
                    case str() as text:
                        return Scripted(text=text)
                    case scripted:
                        return scripted
        return None


def _one_by_one(lines: Iterator[Line]) -> Callable[[Arrival], Line]:
    return lambda _: next(lines, None)
