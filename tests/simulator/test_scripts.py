"""Scripts force what a test wants to see."""

import json

import pytest

from trillium.completions import FinishReason, Usage
from trillium.errors import InvalidRequestError
from trillium.simulator import (
    Arrival,
    Asked,
    FaultKind,
    Scripted,
    ScriptedToolCall,
    SimulatorSettings,
)
from trillium.simulator.replies import compose
from trillium.simulator.scripts import Scripts
from trillium.simulator.words import SaidKind

SETTINGS = SimulatorSettings()


def arrival(prompt="hello", number=1):
    asked = Asked(model="m", prompt=prompt, input_tokens=2)
    return Arrival(number=number, attempt=1, dialect="openai-chat", asked=asked)


def scripts(*added, prompt=None):
    all_scripts = Scripts()
    for script in added:
        all_scripts.add(script, prompt=prompt)
    return all_scripts


def test_lines_are_for_one_request_after_the_other():
    lines = scripts([None, "text", FaultKind.RESET, Scripted(status=500)])
    assert [lines.line(arrival()) for _ in range(6)] == [
        None,
        Scripted(text="text"),
        Scripted(fault=FaultKind.RESET),
        Scripted(status=500),
        None,
        None,
    ]


def test_a_function_is_asked_about_each_request():
    lines = scripts(lambda one: f"{one.asked.prompt} {one.number}")
    assert lines.line(arrival("a", 4)) == Scripted(text="a 4")


def test_a_prompt_chooses_requests():
    lines = scripts(["yes", "yes"], prompt="ell")
    assert lines.line(arrival("other")) is None
    assert lines.line(arrival("hello")) == Scripted(text="yes")


def test_a_later_script_is_asked_where_an_earlier_one_is_silent():
    lines = scripts([None, "first"], ["second", "third"])
    got = [lines.line(arrival()) for _ in range(3)]
    assert got == [Scripted(text="second"), Scripted(text="first"), Scripted(text="third")]


def test_scripts_can_be_cleared():
    lines = scripts(["text"])
    lines.clear()
    assert lines.line(arrival()) is None


@pytest.mark.parametrize("line", ["text", FaultKind.CUT, Scripted()])
def test_a_single_line_is_no_script(line):
    with pytest.raises(InvalidRequestError, match="a list"):
        scripts(line)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 99},
        {"status": 204},
        {"status": "500"},
        {"headers": {"bad name": "x"}},
        {"headers": {"x": "a\nb"}},
        {"headers": {"Content-Length": "3"}},
        {"latency_s": -1},
    ],
)
def test_what_http_cannot_carry_is_refused(fields):
    with pytest.raises(InvalidRequestError):
        Scripted(**fields)


@pytest.mark.parametrize(
    ("body", "wire"), [(None, None), (b"x", b"x"), ("ü", "ü".encode()), ({"a": 1}, b'{"a":1}')]
)
def test_a_body_is_bytes_text_or_json(body, wire):
    assert Scripted(body=body).body == wire


def reply(**fields):
    asked = arrival().asked
    return Scripted(**fields).reply(asked, SETTINGS, compose(asked, SETTINGS))


def test_an_empty_script_gives_the_ordinary_reply():
    assert reply() == compose(arrival().asked, SETTINGS)


def test_all_parts_of_a_reply_can_be_given():
    said = reply(
        reasoning="hm hm",
        text="one two",
        tool_calls=[ScriptedToolCall("f", {"a": 1}), ScriptedToolCall("g", "")],
    )
    assert [part.kind for part in said.parts] == [
        SaidKind.REASONING,
        SaidKind.TEXT,
        SaidKind.TOOL_CALL,
        SaidKind.TOOL_CALL,
    ]
    assert json.loads(said.parts[2].text) == {"a": 1}
    assert said.parts[3].tokens == ("",)
    assert said.finish_reason is FinishReason.TOOL_CALLS
    assert said.usage == Usage(input_tokens=2, output_tokens=7, reasoning_tokens=2)


def test_an_empty_text_is_a_reply_too():
    assert reply(text="").usage.output_tokens == 0


def test_a_finish_reason_can_be_given():
    said = reply(text="x", finish_reason=FinishReason.CONTENT_FILTER)
    assert said.finish_reason is FinishReason.CONTENT_FILTER
