"""Tool calls from the pieces of a stream."""

from __future__ import annotations

import pytest

from trillium._wire.tool_call_builder import ToolCallBuilder
from trillium.completions import ToolCallDelta
from trillium.messages import ToolCall


def built(*pieces: dict[str, object]) -> list[tuple[str, str, str]]:
    builder = ToolCallBuilder()
    for piece in pieces:
        builder.add(piece)
    return [(call.id, call.name, call.arguments) for call in builder.tool_calls()]


def piece(
    arguments: object = "",
    *,
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
) -> dict[str, object]:
    function: dict[str, object] = {"arguments": arguments}
    if name is not None:
        function["name"] = name
    fields: dict[str, object] = {"function": function}
    if index is not None:
        fields["index"] = index
    if call_id is not None:
        fields["id"] = call_id
    return fields


def test_calls_that_interleave_are_told_apart_by_index():
    assert built(
        piece(index=0, call_id="a", name="f"),
        piece(index=1, call_id="b", name="g"),
        piece("{", index=0),
        piece("[", index=1),
        piece("}", index=0),
    ) == [("a", "f", "{}"), ("b", "g", "[")]


def test_a_new_id_at_the_same_index_begins_a_new_call():
    """llm_vllm 0.4.0: vLLM behind proxies gives index 0 to all."""
    assert built(
        piece("{}", index=0, call_id="a", name="f"),
        piece("[", index=0, call_id="b", name="g"),
        piece("]", index=0),
    ) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_without_an_index_a_new_id_begins_a_new_call():
    assert built(
        piece("{", call_id="a", name="f"),
        piece("}"),
        piece("[", call_id="b", name="g"),
        piece("]", call_id="b"),
    ) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_without_index_and_id_a_new_name_begins_a_new_call():
    assert built(piece("{}", name="f"), piece("[", name="g"), piece("]")) == [
        ("call_0", "f", "{}"),
        ("call_1", "g", "[]"),
    ]


def test_an_id_may_come_after_the_name():
    assert built(piece(name="f"), piece("{}", call_id="a")) == [("a", "f", "{}")]


def test_empty_names_and_repeated_ids_of_later_pieces_change_nothing():
    """LM Studio's later pieces have an empty name."""
    assert built(
        piece("{", index=0, call_id="a", name="f"), piece("}", index=0, call_id="a", name="")
    ) == [("a", "f", "{}")]


@pytest.mark.parametrize(("said", "text"), [(None, ""), ({"a": 1}, '{"a":1}'), ("x", "x")])
def test_arguments_that_are_no_text_become_json(said, text):
    assert built(piece(said, call_id="a", name="f")) == [("a", "f", text)]


def test_unknown_fields_are_kept():
    """Gemini wants its thought signature back."""
    builder = ToolCallBuilder()
    signature = {"google": {"thought_signature": "s"}}
    builder.add({**piece("{}", index=0, call_id="a", name="f"), "type": "function"})
    builder.add({"index": 0, "extra_content": signature})
    assert builder.tool_calls() == (
        ToolCall(id="a", name="f", arguments="{}", extra={"extra_content": signature}),
    )


def test_a_custom_call_is_told_by_its_extra():
    builder = ToolCallBuilder()
    builder.add({"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "go"}})
    assert builder.tool_calls() == (
        ToolCall(id="a", name="f", arguments="go", extra={"type": "custom"}),
    )


def test_deltas_tell_only_what_is_new():
    builder = ToolCallBuilder()
    first = builder.add(piece("", index=3, call_id="a", name="f"))
    assert first == ToolCallDelta(index=0, id="a", name="f")
    assert builder.add(piece("{", index=3, call_id="a", name="f")) == ToolCallDelta(
        index=0, arguments="{"
    )
    assert builder.add({"index": 3}) is None


def test_whole_calls_never_continue_each_other():
    builder = ToolCallBuilder()
    builder.add_whole(piece("{}", name="f"))
    builder.add_whole(piece("{}", name="f"))
    assert [call.id for call in builder.tool_calls()] == ["call_0", "call_1"]
