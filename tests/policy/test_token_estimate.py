"""`_policy/token_estimate.py`: sizes, and what is learnt of them."""

from __future__ import annotations

import pytest

from trillium._policy.token_estimate import (
    FIRST_BYTES_PER_TOKEN,
    FIRST_OUTPUT_TOKENS,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    TokenEstimate,
    size_of,
)
from trillium.messages import (
    ImagePart,
    JSONSchema,
    Part,
    RawPart,
    ReasoningPart,
    RefusalPart,
    Request,
    Tool,
    ToolCall,
    assistant,
    user,
)


def test_all_that_is_sent_is_measured_in_bytes() -> None:
    parts: list[Part | str] = [
        "four",
        RefusalPart("no"),
        ReasoningPart(text="why", redacted="xx"),
        ToolCall(id="1", name="find", arguments="{}"),
        RawPart({}),
        ImagePart(url="https://x.example/a.png"),
    ]
    size = size_of(Request([user("é"), assistant(parts)], max_tokens=7))
    assert (size.text_bytes, size.messages, size.images) == (2 + 4 + 2 + 5 + 6 + 2, 2, 1)
    assert size.max_tokens == 7
    assert size.other_tokens == IMAGE_TOKENS


def test_tools_and_schemas_are_part_of_the_prompt() -> None:
    tool = Tool(name="find", description="Finds.", parameters={"type": "object"})
    bare = size_of(Request("x"))
    assert size_of(Request("x", tools=[tool])).text_bytes == bare.text_bytes + 10 + 18
    schema = JSONSchema(name="n", schema={})
    assert size_of(Request("x", response_format=schema)).text_bytes > bare.text_bytes
    assert size_of(Request("x", response_format="json")).text_bytes == bare.text_bytes + 4


def test_bytes_per_token_and_lengths_are_learnt_from_sums() -> None:
    estimate = TokenEstimate()
    size = size_of(Request("x" * 300))
    assert estimate.input_tokens(size) == 300 / FIRST_BYTES_PER_TOKEN
    assert estimate.output_tokens == FIRST_OUTPUT_TOKENS
    for _ in range(50):
        estimate.learn(size, 75, 10)
        estimate.learn(size, 75, 30)
    assert estimate.input_tokens(size) == pytest.approx(75)
    assert estimate.output_tokens == pytest.approx(20, abs=0.2)
    for _ in range(2000):
        estimate.learn(size, 100, 40)
    assert estimate.bytes_per_token == pytest.approx(3.0, rel=0.01)
    assert estimate.output_tokens == pytest.approx(40, rel=0.01)


def test_a_usage_that_says_nothing_teaches_nothing() -> None:
    estimate = TokenEstimate()
    estimate.learn(size_of(Request("x" * 300)), 0, 0)
    assert estimate.bytes_per_token == FIRST_BYTES_PER_TOKEN
    assert estimate.output_tokens == FIRST_OUTPUT_TOKENS


def test_no_text_has_more_tokens_than_bytes() -> None:
    size = size_of(Request("x" * 300))
    assert TokenEstimate.input_tokens_at_most(size) == 300 + MESSAGE_TOKENS
