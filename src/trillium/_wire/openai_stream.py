"""A streamed answer in the form of OpenAI's Chat Completions: events in, chunks and answer out.

The first chunk may have no choices (Azure), the last ones only a usage; `[DONE]` may be missing;
an error may stand in any event, and wins over all that comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import attrs

from trillium._wire.error_body import read_error_body, read_error_value
from trillium._wire.fault_rules import answer_fault, decode_as, error_fault, error_fault_in
from trillium._wire.json_text import BROKEN, text_in
from trillium._wire.openai_answers import DECODER, SPARE, ChatBody, ChatDraft
from trillium._wire.sse import ServerSentEvent
from trillium.completions import Answer, Chunk, ToolCallDelta
from trillium.errors import ErrorKind, Fault

_decode: Final = DECODER.decode


@final
@attrs.define(eq=False, repr=False)
class ChatAssembler:
    """Puts one streamed answer together; an `Assembler`.

    The format's end is `[DONE]`. Where it is missing, a finish reason says that the answer is
    whole; `[DONE]` says so too where a finish reason is missing.
    """

    finished: bool = attrs.field(default=False, init=False)
    """`[DONE]` has been seen."""
    _draft: ChatDraft = attrs.field(factory=ChatDraft, init=False)
    _new_calls: list[ToolCallDelta] = attrs.field(factory=list, init=False)

    def add(self, events: Sequence[ServerSentEvent]) -> Chunk | Fault | None:
        """Take the events of one read; as `Assembler.add`."""
        draft = self._draft
        texts = draft.text
        had_text, had_rest = len(texts), (len(draft.reasoning), len(draft.refusal))
        for event in events:
            if self.finished:
                break
            try:
                body = _decode(event.raw)
            except BROKEN:
                fault = self._add_odd(event)
            else:
                fault = self._add_body(event, body)
            if fault is not None:
                return fault
        text = "".join(texts[had_text:])
        calls = self._new_calls
        if not calls and had_rest == (len(draft.reasoning), len(draft.refusal)):
            return Chunk(text=text) if text else None
        self._new_calls = []
        return Chunk(
            text=text,
            reasoning="".join(draft.reasoning[had_rest[0] :]),
            refusal="".join(draft.refusal[had_rest[1] :]),
            tool_calls=tuple(calls),
        )

    def close(self) -> Answer | Fault:
        """Return the answer at the stream's end, or the fault; as `Assembler.close`."""
        if not self.finished and self._draft.finish is None:
            return answer_fault(ErrorKind.TRUNCATED, "the stream ended before the answer did")
        return self._draft.answer()

    def partial_text(self) -> str:
        """Return the text that has come so far."""
        return "".join(self._draft.text)

    def _add_body(self, event: ServerSentEvent, body: ChatBody) -> Fault | None:
        if not body.choices or body.error:
            return self._add_without_choices(event, body)
        draft = self._draft
        if draft.model is None or body.usage is not None or body.x_groq is not None:
            draft.add_about(body)
        for choice in body.choices:
            if choice.index:
                continue
            if choice.finish_reason:
                draft.finish = text_in(choice.finish_reason) or draft.finish
            said = choice.delta or choice.message
            if said is None:
                continue
            content = said.content
            # A quarter faster for the common chunk, which has one piece of text.
            if isinstance(content, str) and (
                said.tool_calls is said.reasoning_content is said.reasoning is said.refusal is None
            ):
                draft.said = True
                if content:
                    draft.text.append(content)
            else:
                self._new_calls += draft.add_delta(said)
        return None

    def _add_without_choices(self, event: ServerSentEvent, body: ChatBody) -> Fault | None:
        """Take a chunk that is about the answer: its usage, Azure's filters, an error."""
        if body.error or event.event == "error":
            return error_fault(read_error_body(event.raw))
        if body.x_groq is not None and body.x_groq.error:
            return error_fault(read_error_value({"error": body.x_groq.error}))
        if body.choices is None and body.usage is None:
            # Older vLLM's errors have no `error`: {"object": "error", "message": ...}.
            fault = error_fault_in(event.raw)
            if fault is not None:
                return fault
        self._draft.add_about(body)
        return None

    def _add_odd(self, event: ServerSentEvent) -> Fault | None:
        """Take an event whose data is no plain chunk."""
        if event.raw.startswith(b"[DONE]"):
            self.finished = True
            return None
        if not event.raw.strip():
            return None
        if event.event == "error":
            return error_fault(read_error_body(event.raw))
        body = decode_as(DECODER, event.raw, spare=SPARE)
        return body if isinstance(body, Fault) else self._add_body(event, body)
