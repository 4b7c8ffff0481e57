"""Tool calls as OpenAI's chat format streams them: pieces in, whole calls out.

By the rules each piece names its call by `index`, and only the first has an id and a name. Some
servers give no index, or 0 to all: a new id then begins a new call (llm_vllm 0.4.0 of August 2026
reports it of vLLM behind proxies). Others repeat the id and the name, or leave the name empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import attrs

from trillium._wire.json_text import json_of, mapping_in, text_in
from trillium.completions import ToolCallDelta
from trillium.messages import ToolCall

_KNOWN_FIELDS: Final = frozenset({"index", "id", "type", "function", "custom"})


@attrs.define(kw_only=True, eq=False, repr=False)
class _OpenCall:
    number: int
    id: str = ""
    name: str = ""
    arguments: list[str] = attrs.field(factory=list)
    extra: dict[str, Any] = attrs.field(factory=dict)


@final
@attrs.define(eq=False, repr=False)
class ToolCallBuilder:
    """Collects the tool calls of one answer."""

    _calls: list[_OpenCall] = attrs.field(factory=list, init=False)
    _by_index: dict[int, _OpenCall] = attrs.field(factory=dict, init=False)

    def add(self, piece: Mapping[str, object]) -> ToolCallDelta | None:
        """Take a piece of a stream; return what is new in it, None if that is nothing."""
        function = _function_of(piece)
        call_id, name = text_in(piece.get("id")), text_in(function.get("name"))
        index = piece.get("index")
        call = self._call_meant(index if isinstance(index, int) else None, call_id, name)
        return self._extend(call, piece, function)

    def add_whole(self, piece: Mapping[str, object]) -> None:
        """Take a call that is whole: it never continues another."""
        self._extend(self._begin(None), piece, _function_of(piece))

    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls in the order in which they began.

        One that the server gave no id is called `call_0` and so on, so that its result can say
        which call it answers.
        """
        return tuple(
            ToolCall(
                id=call.id or f"call_{call.number}",
                name=call.name,
                arguments="".join(call.arguments),
                extra=call.extra,
            )
            for call in self._calls
        )

    def _call_meant(self, index: int | None, call_id: str, name: str) -> _OpenCall:
        if index is not None:
            call = self._by_index.get(index)
            if call is None or (call_id and call.id and call_id != call.id):
                return self._begin(index)
            return call
        if call_id:
            for call in self._calls:
                if call.id == call_id:
                    return call
        last = self._calls[-1] if self._calls else None
        if last is None or (call_id and last.id) or (name and not call_id and last.name):
            return self._begin(None)
        return last

    def _begin(self, index: int | None) -> _OpenCall:
        call = _OpenCall(number=len(self._calls))
        self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def _extend(
        self, call: _OpenCall, piece: Mapping[str, object], function: Mapping[str, object]
    ) -> ToolCallDelta | None:
        new_id = new_name = None
        if not call.id and (new_id := text_in(piece.get("id")) or None):
            call.id = new_id
        if not call.name and (new_name := text_in(function.get("name")) or None):
            call.name = new_name
        said = function.get("arguments", function.get("input"))
        arguments = said if isinstance(said, str) else "" if said is None else json_of(said)
        if arguments:
            call.arguments.append(arguments)
        call.extra.update((key, value) for key, value in piece.items() if key not in _KNOWN_FIELDS)
        if "custom" in piece:
            call.extra["type"] = "custom"
        if new_id is new_name is None and not arguments:
            return None
        return ToolCallDelta(index=call.number, id=new_id, name=new_name, arguments=arguments)


def _function_of(piece: Mapping[str, object]) -> Mapping[str, object]:
    return mapping_in(piece.get("function") or piece.get("custom"))
