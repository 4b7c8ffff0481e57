"""The steps of one answer: at the model's pace, and spoilt where a fault befalls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import attrs

from trillium.simulator.plans import Cut, Reset, Send, Stall, Step, Steps, Wait
from trillium.simulator.settings import FaultKind
from trillium.simulator.words import Face, Problem, Reason, Spoken

DRIPS: Final = 32
"""How many pieces an answer drips in."""
STREAM_ONLY: Final = frozenset(
    {FaultKind.STREAM_ERROR, FaultKind.NO_END, FaultKind.JSON_FOR_STREAM}
)
"""Faults that only a stream can have."""
BREAKING: Final = frozenset({FaultKind.RESET, FaultKind.CUT, FaultKind.STALL})
"""Faults after which a response is not whole."""
STATUS_FAULTS: Final = {
    FaultKind.RATE_LIMITED: Reason.REQUESTS_EXCEEDED,
    FaultKind.SERVER_ERROR: Reason.SERVER_ERROR,
    FaultKind.UNAVAILABLE: Reason.UNAVAILABLE,
    FaultKind.OVERLOADED: Reason.OVERLOADED,
}
"""Faults that a status tells."""
FAILED: Final = Problem(
    reason=Reason.OVERLOADED, message="The simulated server failed in the middle of its work."
)
PAGE: Final = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    b"<body><h1>502 Bad Gateway</h1><p>simulated proxy</p></body></html>\n"
)
JSON_TYPE: Final = "application/json"
STREAM_TYPE: Final = "text/event-stream; charset=utf-8"
HTML_TYPE: Final = "text/html; charset=utf-8"


@final
@attrs.frozen(kw_only=True)
class Pace:
    """When the tokens of an answer come, in seconds."""

    first_s: float
    between_s: float
    keep_alive_s: float | None = None
    drip_s: float = 0.0


@final
@attrs.frozen(kw_only=True)
class Served:
    """A response with status 200, as it will go out."""

    content_type: str
    length: int | None
    """The length of the body that is promised; None for a stream."""
    steps: tuple[Step, ...] | Steps


@final
@attrs.frozen(kw_only=True)
class Serving:
    """One answer that is to be served, whole or spoilt."""

    face: Face
    spoken: Spoken
    pace: Pace
    fault: FaultKind | None = None
    place: float = 0.5
    """Where in the body the fault strikes, in [0, 1)."""

    def served(self) -> Served:
        """Return the response."""
        match self.fault:
            case FaultKind.RESET:
                return Served(content_type=JSON_TYPE, length=0, steps=(*self._first(), Reset()))
            case FaultKind.HTML:
                return self._at_once(PAGE, HTML_TYPE)
            case FaultKind.ERROR_OBJECT:
                return self._at_once(self.face.problem(FAILED, self.spoken.stamp), JSON_TYPE)
            case FaultKind.JSON_FOR_STREAM:
                return self._whole()
            case _ if self.spoken.asked.stream:
                return Served(content_type=STREAM_TYPE, length=None, steps=Steps(self._stream))
            case _:
                return self._whole()

    def _first(self) -> tuple[Step, ...]:
        return (Wait(self.pace.first_s),) if self.pace.first_s else ()

    def _at_once(self, body: bytes, content_type: str) -> Served:
        steps: tuple[Step, ...] = (*self._first(), Send(body))
        return Served(content_type=content_type, length=len(body), steps=steps)

    def _whole(self) -> Served:
        """Return the answer in one piece, after the time that all its tokens take."""
        body = self.face.body(self.spoken)
        tokens = self.spoken.reply.usage.output_tokens
        seconds = self.pace.first_s + self.pace.between_s * max(0, tokens - 1)
        before: tuple[Step, ...] = (Wait(seconds),) if seconds else ()
        cut = 1 + int(self.place * (len(body) - 1))
        steps: tuple[Step, ...]
        match self.fault:
            case FaultKind.CUT:
                steps = (*before, Send(body[:cut]), Cut())
            case FaultKind.STALL:
                steps = (*before, Send(body[:cut]), Stall())
            case FaultKind.MALFORMED:
                body = body[:cut] if cut < len(body) else body[:-1]
                steps = (*before, Send(body))
            case FaultKind.DRIP:
                steps = (*before, *_drips(body, tokens, self.pace.drip_s))
            case _:
                steps = (*before, Send(body, tokens))
        return Served(content_type=JSON_TYPE, length=len(body), steps=steps)

    def _stream(self) -> Iterator[Step]:
        """Yield the steps of a stream, an event for each token."""
        face, spoken = self.face, self.spoken
        tokens = spoken.reply.usage.output_tokens
        between_s = self.pace.between_s
        if self.fault is FaultKind.DRIP:
            between_s = max(between_s, self.pace.drip_s / max(1, tokens - 1))
        struck = int(self.place * tokens) if self.fault is not None else -1
        yield from self._wait_first()
        yield Send(face.opening(spoken))
        number = 0
        for number, event in enumerate(face.events(spoken)):
            if number and between_s:
                yield Wait(between_s)
            if number == struck and self.fault is not FaultKind.DRIP:
                yield from self._spoil(event)
                if self.fault is not FaultKind.MALFORMED:
                    return
            else:
                yield Send(event, 1)
        closing = face.closing(spoken)
        if not tokens and self.fault not in (None, FaultKind.DRIP):
            yield from self._spoil(closing)  # there was no token at which it could strike
            return
        yield Send(closing)

    def _wait_first(self) -> Iterator[Step]:
        """Yield the wait for the first token, with keep-alives where they are set."""
        left_s, every_s = self.pace.first_s, self.pace.keep_alive_s
        if every_s is not None:
            while left_s > every_s:
                yield Wait(every_s)
                yield Send(self.face.keep_alive)
                left_s -= every_s
        if left_s:
            yield Wait(left_s)

    def _spoil(self, event: bytes) -> Iterator[Step]:
        """Yield what comes in place of an event."""
        match self.fault:
            case FaultKind.CUT:
                yield Send(event[: len(event) // 2])
                yield Cut()
            case FaultKind.STALL:
                yield Stall(self.face.keep_alive, self.pace.keep_alive_s)
            case FaultKind.MALFORMED:
                yield Send(event[: len(event) // 2] + b"\n\n", 1)
            case FaultKind.STREAM_ERROR:
                yield Send(self.face.error_event(FAILED, self.spoken.stamp))
            case _:  # NO_END: nothing, and nothing after it
                return


def _drips(body: bytes, tokens: int, drip_s: float) -> Iterator[Step]:
    size = max(1, len(body) // DRIPS)
    starts = range(0, len(body), size)
    for start in starts:
        if start and drip_s:
            yield Wait(drip_s / max(1, len(starts) - 1))
        last = start == starts[-1]
        yield Send(body[start : start + size], tokens if last else 0)
