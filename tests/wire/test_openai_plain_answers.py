"""`_wire/openai_plain_answers.py`: the short cut says what the long way says, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.openai_answers import decode_any_body
from trillium._wire.openai_plain_answers import plain_answer

USUAL: dict[str, Any] = {
    "id": "chatcmpl-1",
    "model": "gpt-x",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes.", "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
    "service_tier": "default",
}

COUNTS = st.one_of(st.none(), st.integers(-2, 12), st.integers(), st.floats(), st.text(max_size=2))
TEXTS = st.one_of(st.none(), st.text(max_size=5), st.integers(), st.lists(st.integers()))


def whole_bodies() -> st.SearchStrategy[dict[str, Any]]:
    """Answers near the usual one: each field as usual, odd, or missing."""
    message = st.fixed_dictionaries(
        {},
        optional={
            "content": TEXTS,
            "refusal": TEXTS,
            "reasoning": TEXTS,
            "tool_calls": st.one_of(st.none(), st.just([]), st.just([{"id": "a"}])),
        },
    )
    choice = st.fixed_dictionaries(
        {},
        optional={
            "message": message,
            "index": COUNTS,
            "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "?", None, 1]),
        },
    )
    usage = st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": COUNTS,
            "completion_tokens": COUNTS,
            "total_tokens": COUNTS,
            "prompt_tokens_details": st.fixed_dictionaries(
                {}, optional={"cached_tokens": COUNTS, "cache_write_tokens": COUNTS}
            ),
            "completion_tokens_details": st.fixed_dictionaries(
                {}, optional={"reasoning_tokens": COUNTS}
            ),
        },
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "id": TEXTS,
            "model": TEXTS,
            "service_tier": TEXTS,
            "choices": st.lists(choice, max_size=2),
            "usage": usage,
            "error": st.sampled_from([None, {}, {"message": "no"}]),
        },
    )


def merged(usual: Any, odd: Any) -> Any:
    """Return the usual body with the odd one's fields in the place of its own."""
    if isinstance(usual, dict) and isinstance(odd, dict):
        return {**usual, **{key: merged(usual.get(key), odd[key]) for key in odd}}
    if isinstance(usual, list) and isinstance(odd, list) and len(odd) == 1:
        return [merged(usual[0], odd[0])]
    return odd


@given(odd=whole_bodies())
def test_what_the_short_cut_reads_the_long_way_reads_alike(odd: dict[str, Any]) -> None:
    body = msgspec.json.encode(merged(USUAL, odd))
    found = plain_answer(body)
    assert found is None or found == decode_any_body(body)


def test_the_usual_answer_is_read() -> None:
    body = msgspec.json.encode(USUAL)
    assert plain_answer(body) == decode_any_body(body)
    assert plain_answer(body) is not None


@pytest.mark.parametrize(
    "usage",
    [
        {"total_tokens": 11},
        {"prompt_tokens_details": {"cached_tokens": 8}},
        {"prompt_tokens_details": {"cache_write_tokens": 8}},
        {"completion_tokens_details": {"reasoning_tokens": 4}},
    ],
)
def test_counts_that_do_not_add_up_are_left_to_the_long_way(usage: dict[str, Any]) -> None:
    assert plain_answer(msgspec.json.encode(merged(USUAL, {"usage": usage}))) is None


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"id":"\xff"}', b"[]"])
def test_what_is_no_answer_is_left_to_the_long_way(body: bytes) -> None:
    assert plain_answer(body) is None


def test_details_may_be_missing() -> None:
    body = {**USUAL, "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
    found = plain_answer(msgspec.json.encode(body))
    assert found is not None
    assert found == decode_any_body(msgspec.json.encode(body))
