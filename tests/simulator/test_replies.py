"""A reply follows from seed, model and prompt, and keeps within what was asked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium.completions import FinishReason
from trillium.simulator import SimulatorSettings
from trillium.simulator.replies import MAX_DEPTH, compose, count_input, sample, tokens_of
from trillium.simulator.settings import MAX_OUTPUT_TOKENS
from trillium.simulator.words import Asked, SaidKind, WantedTool

PLAIN = SimulatorSettings()
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "enum", "const", "$ref", "anyOf", "minimum", "a"]
            ),
            inner | st.sampled_from(["object", "array", "integer", "boolean", "null", "#/a", "#"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


def asked(prompt="Why is the sky blue?", **rest):
    return Asked(model="m", prompt=prompt, input_tokens=5, **rest)


def text_of(reply):
    return reply.text_of(SaidKind.TEXT)


@given(st.text())
def test_tokens_together_are_the_text(text):
    assert "".join(tokens_of(text)) == text


@given(prompt=st.text(), seed=st.integers(), output=st.integers(1, 200))
def test_the_same_question_has_the_same_reply(prompt, seed, output):
    settings = SimulatorSettings(seed=seed, output_tokens=output, output_spread=0.5)
    reply = compose(asked(prompt), settings)
    assert reply == compose(asked(prompt), settings)
    assert reply.usage.output_tokens == len(tokens_of(text_of(reply)))


def test_a_reply_begins_with_the_prompt_in_quotes():
    text = text_of(compose(asked(), PLAIN))
    assert text.startswith('Answer to "Why is the sky blue?": ')
    assert len(text.split()) == PLAIN.output_tokens


def test_only_the_beginning_of_a_long_prompt_is_quoted():
    text = text_of(compose(asked("word " * 1000), PLAIN))
    assert "…" in text
    assert len(text) < 400


def test_lengths_vary_with_the_prompt_and_are_bounded():
    settings = SimulatorSettings(output_tokens=MAX_OUTPUT_TOKENS, output_spread=0.5)
    lengths = {compose(asked(str(i)), settings).usage.output_tokens for i in range(6)}
    assert len(lengths) > 1
    assert max(lengths) == MAX_OUTPUT_TOKENS


@given(bound=st.integers(0, 60))
def test_max_tokens_cuts_the_reply(bound):
    reply = compose(asked(max_tokens=bound), PLAIN)
    cut = bound < PLAIN.output_tokens
    assert reply.usage.output_tokens == min(bound, PLAIN.output_tokens)
    assert reply.finish_reason is (FinishReason.LENGTH if cut else FinishReason.STOP)


def test_a_stop_sequence_ends_the_reply_before_it():
    reply = compose(asked(stop=("sky", "", "absent", "blue")), PLAIN)
    assert text_of(reply) == 'Answer to "Why is the '
    assert (reply.stop_sequence, reply.finish_reason) == ("sky", FinishReason.STOP)


def test_a_stop_sequence_that_does_not_come_ends_nothing():
    assert compose(asked(stop=("absent",)), PLAIN) == compose(asked(), PLAIN)


def test_a_stop_sequence_is_looked_for_in_text_only():
    tool = WantedTool(name="f", schema={"const": "sky"})
    reply = compose(asked(stop=("sky",), tool=tool), PLAIN)
    assert (reply.parts[0].text, reply.stop_sequence) == ('"sky"', None)


def test_cached_input_is_a_share_of_the_input():
    usage = compose(asked(), SimulatorSettings(cached_share=0.5)).usage
    assert (usage.input_tokens, usage.cached_tokens) == (5, 2)


def test_a_wanted_tool_is_called_with_arguments_of_its_schema():
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    }
    reply = compose(asked(tool=WantedTool(name="weather", schema=schema)), PLAIN)
    (part,) = reply.parts
    assert (part.kind, part.name) == (SaidKind.TOOL_CALL, "weather")
    assert json.loads(part.text) == {"city": "Why is the sky blue?", "days": 3}
    assert reply.finish_reason is FinishReason.TOOL_CALLS


def test_a_tool_call_can_be_cut_too():
    tool = WantedTool(name="f", schema={"properties": {"a": {}, "b": {}}})
    reply = compose(asked(tool=tool, max_tokens=1), PLAIN)
    assert reply.finish_reason is FinishReason.LENGTH
    assert reply.usage.output_tokens == 1


def test_json_is_an_object_with_the_answer_unless_there_is_a_schema():
    value = json.loads(text_of(compose(asked(json=True), PLAIN)))
    assert value["answer"].startswith('Answer to "Why')
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    assert json.loads(text_of(compose(asked(json=True, schema=schema), PLAIN))) == {"ok": True}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "t"),
        ({"type": "number"}, 1),
        ({"type": "integer", "minimum": "low"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "string"]}, None),
        ({"type": []}, "t"),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array"}, ["t"]),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"const": 7}}}, {"a": 7}),
        ({"enum": ["x", "y"]}, "x"),
        ({"enum": []}, "t"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"oneOf": [], "type": "boolean"}, True),
        ({"$defs": {"N": {"type": "integer"}}, "$ref": "#/$defs/N"}, 1),
        ({"$ref": "#/nowhere/at/all"}, "t"),
        ({"$ref": "#/title/x", "title": "text"}, "t"),
        ({"type": "strange"}, "t"),
        (None, "t"),
    ],
)
def test_a_sample_follows_its_schema(schema, value):
    assert sample(schema, "t") == value


def test_a_schema_that_refers_to_itself_ends():
    value, depth = sample({"type": "array", "items": {"$ref": "#"}}, "t"), 0
    while isinstance(value, list):
        (value,) = value
        depth += 1
    assert value == "t"
    assert depth <= MAX_DEPTH


@given(JSONISH)
def test_any_schema_has_a_sample_that_is_json(schema):
    json.dumps(sample(schema, "t"))


def test_input_is_counted_by_four_bytes_and_at_least_one():
    assert count_input([]) == 1
    assert count_input(["abcd", "é"]) == 2
