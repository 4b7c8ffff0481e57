"""A streamed answer in the form of Anthropic's Messages: events in, chunks and answer out.

Unknown events and deltas are skipped: new ones may come within a version of the format
(platform.claude.com, "Versioning", read in November 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import attrs

from trillium._wire.anthropic_answers import (
    EVENT_DECODER,
    PROSE,
    SPARE,
    Block,
    Delta,
    Event,
    MessageDraft,
)
from trillium._wire.error_body import read_error_body
from trillium._wire.fault_rules import answer_fault, decode_as, error_fault
from trillium._wire.json_text import BROKEN, text_in
from trillium._wire.sse import ServerSentEvent
from trillium.completions import Answer, Chunk, ToolCallDelta
from trillium.errors import ErrorKind, Fault

_decode_event: Final = EVENT_DECODER.decode


@attrs.define(eq=False, repr=False)
class _News:
    """What one read has brought."""

    text: list[str] = attrs.field(factory=list, init=False)
    reasoning: list[str] = attrs.field(factory=list, init=False)
    calls: list[ToolCallDelta] = attrs.field(factory=list, init=False)

    def chunk(self) -> Chunk | None:
        if not (self.text or self.reasoning or self.calls):
            return None
        return Chunk(
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            tool_calls=tuple(self.calls),
        )


@final
@attrs.define(eq=False, repr=False)
class MessagesAssembler:
    """Puts one streamed answer together; an `Assembler`. Only `message_stop` ends an answer."""

    finished: bool = attrs.field(default=False, init=False)
    """`message_stop` has been seen."""
    _draft: MessageDraft = attrs.field(factory=MessageDraft, init=False)
    _open: dict[int | None, Block] = attrs.field(factory=dict, init=False)
    """The blocks by their index in the stream."""

    def add(self, events: Sequence[ServerSentEvent]) -> Chunk | Fault | None:
        """Take the events of one read; as `Assembler.add`."""
        news = _News()
        for event in events:
            if self.finished:
                break
            try:
                body = _decode_event(event.raw)
            except BROKEN:
                fault = self._add_odd(event, news)
            else:
                fault = self._add_body(event, body, news)
            if fault is not None:
                return fault
        return news.chunk()

    def close(self) -> Answer | Fault:
        """Return the answer at the stream's end, or the fault; as `Assembler.close`."""
        if not self.finished:
            return answer_fault(ErrorKind.TRUNCATED, "the stream ended before the answer did")
        return self._draft.answer()

    def partial_text(self) -> str:
        """Return the text that has come so far."""
        blocks = self._draft.blocks
        texts = ["".join(block.pieces) for block in blocks if block.start.get("type") == "text"]
        return "".join(texts)

    def _add_odd(self, event: ServerSentEvent, news: _News) -> Fault | None:
        """Take an event whose data is not of the form of the format's events."""
        if not event.raw.strip() or event.raw.startswith(b"[DONE]"):
            return None
        if event.event == "error":
            return error_fault(read_error_body(event.raw))
        body = decode_as(EVENT_DECODER, event.raw, spare=SPARE)
        return body if isinstance(body, Fault) else self._add_body(event, body, news)

    def _add_body(self, event: ServerSentEvent, body: Event, news: _News) -> Fault | None:
        # By the data's own type: some proxies drop the `event:` lines.
        kind = event.event if body.type is None else body.type
        if kind == "content_block_delta":
            if body.delta is not None:
                self._add_delta(body.index, body.delta, news)
        elif kind == "content_block_start":
            self._begin(body.index, body.content_block or {}, news)
        elif kind == "message_start":
            if body.message is not None:
                self._draft.add_message(body.message)
        elif kind == "message_delta":
            if body.delta is not None:
                self._draft.add_stop(body.delta.stop_reason, body.delta.stop_details)
            self._draft.add_usage(body.usage)
        elif kind == "message_stop":
            self.finished = True
        elif kind == "error" or body.error:
            return error_fault(read_error_body(event.raw))
        return None

    def _begin(self, index: int | None, start: dict[str, Any], news: _News) -> None:
        block = self._draft.begin_block(start)
        self._open[index] = block
        match start.get("type"):
            case "text":
                news.text += block.pieces
            case "thinking":
                news.reasoning += block.pieces
            case "tool_use":
                news.calls.append(
                    ToolCallDelta(
                        index=block.call_number,
                        id=text_in(start.get("id")) or None,
                        name=text_in(start.get("name")) or None,
                    )
                )

    def _add_delta(self, index: int | None, delta: Delta, news: _News) -> None:
        match delta.type:
            case "text_delta":
                if piece := text_in(delta.text):
                    self._block(index, "text").pieces.append(piece)
                    news.text.append(piece)
            case "thinking_delta":
                if piece := text_in(delta.thinking):
                    self._block(index, "thinking").pieces.append(piece)
                    news.reasoning.append(piece)
            case "signature_delta":
                self._block(index, "thinking").signature += text_in(delta.signature)
            case "input_json_delta":
                block = self._open.get(index)
                piece = text_in(delta.partial_json)
                if block is not None and piece and block.start.get("type") not in PROSE:
                    block.pieces.append(piece)
                    if block.start.get("type") == "tool_use":
                        news.calls.append(ToolCallDelta(index=block.call_number, arguments=piece))

    def _block(self, index: int | None, kind: str) -> Block:
        """Return the open block of an index; a new one where there is none of its kind."""
        block = self._open.get(index)
        if block is None or block.start.get("type") != kind:
            block = self._open[index] = self._draft.begin_block({"type": kind})
        return block
