"""A client against a server that we did not write, and that judges how the client behaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import trillium
from trillium import Completion, ErrorKind, Failure, FinishReason, Request, RetryPolicy, Timeouts

if TYPE_CHECKING:
    from tests.thirdparty.conftest import ThirdPartyServer

QUICK = RetryPolicy(base_s=0.02, throttled_base_s=0.02)
STREAMING = Timeouts(stall_s=10.0)
"""A batch that is to notice stalls streams underneath."""

Opened = Callable[..., AbstractAsyncContextManager[trillium.Client]]


@pytest.fixture(params=["openai-chat", "anthropic"])
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def opened(third_party_server: ThirdPartyServer, dialect: str) -> Opened:
    """Open a client of the server, in either dialect."""
    base_url = {
        "openai-chat": third_party_server.openai,
        "anthropic": third_party_server.anthropic,
    }[dialect]

    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[trillium.Client]:
        async with trillium.open_client(
            "some/model",
            base_url=base_url,
            key="sk-any",
            dialect=dialect,
            **{"retry": QUICK} | arguments,
        ) as client:
            yield client

    return opened


def findings(server: ThirdPartyServer) -> list[str]:
    """Return what the server found wrong with its client, warnings aside."""
    found = server.verdict()["findings"]
    return [finding["code"] for finding in found if finding["severity"] == "error"]


# Answers.


async def test_complete(third_party_server: ThirdPartyServer, opened: Opened) -> None:
    third_party_server.script({"type": "reply", "text": "It scatters: größer. 🌈"})
    async with opened() as client:
        completion = await client.complete(
            Request(
                [trillium.system("Be brief."), trillium.user("Why is the sky blue?")],
                temperature=0.5,
                top_p=0.9,
                max_tokens=50,
                stop=["END"],
            )
        )
    assert completion.text == "It scatters: größer. 🌈"
    assert completion.finish_reason is FinishReason.STOP
    assert completion.answered_model == "some/model"
    assert completion.response_id
    assert completion.usage is not None
    assert min(completion.usage.input_tokens, completion.usage.output_tokens) > 0
    (asked,) = third_party_server.requests()
    assert (asked["model"], asked["stream"], asked["status"]) == ("some/model", False, 200)


async def test_stream(third_party_server: ThirdPartyServer, opened: Opened) -> None:
    text = "one two three four five six seven"
    third_party_server.script({"type": "reply", "text": text})
    async with opened() as client:
        async with client.stream("Count.") as stream:
            pieces = [chunk.text async for chunk in stream]
        completion = stream.completion
        assert "".join(pieces) == completion.text == text
        assert completion.finish_reason is FinishReason.STOP
        assert completion.usage is not None
        assert completion.usage.output_tokens > 0
        assert completion.first_token_s is not None
        assert (await client.complete("Again.")).success  # on the same connection
    assert [asked["stream"] for asked in third_party_server.requests()] == [True, False]


@pytest.mark.parametrize("timeouts", [Timeouts(), STREAMING], ids=["plain", "streaming"])
async def test_batch(
    third_party_server: ThirdPartyServer, opened: Opened, timeouts: Timeouts
) -> None:
    prompts = [Request(f"prompt {n}", id=f"id-{n}") for n in range(40)]
    async with opened() as client:
        outcomes = await client.complete_all(prompts, concurrency=8, timeouts=timeouts)
    assert [outcome.id for outcome in outcomes] == [f"id-{n}" for n in range(40)]
    assert all(isinstance(outcome, Completion) and outcome.text for outcome in outcomes)
    asked = third_party_server.requests()
    assert len({request["fingerprint"] for request in asked}) == len(asked) == 40


WEATHER = trillium.Tool(
    name="get_weather",
    description="Tells the weather of a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
CALL = {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_a_tool_is_called_and_its_result_goes_back(
    third_party_server: ThirdPartyServer,
    opened: Opened,
    *,
    streamed: bool,
) -> None:
    third_party_server.script(
        {"type": "reply", "tool_calls": [CALL, CALL | {"arguments": {"city": "Bonn"}}]},
        {"type": "reply", "text": "It rains."},
    )
    question = trillium.user("What is the weather in Köln?")
    async with opened() as client:

        async def ask(request: Request) -> Completion:
            if not streamed:
                return await client.complete(request)
            async with client.stream(request) as stream:
                return await stream.read()

        first = await ask(Request([question], tools=[WEATHER]))
        assert first.finish_reason is FinishReason.TOOL_CALLS
        assert [call.name for call in first.tool_calls] == ["get_weather", "get_weather"]
        assert [json.loads(call.arguments) for call in first.tool_calls] == [
            {"city": "Köln", "days": 2},
            {"city": "Bonn"},
        ]
        results = [trillium.tool("rain", tool_call_id=call.id) for call in first.tool_calls]
        second = await ask(Request([question, first.message, *results], tools=[WEATHER]))
        assert second.text == "It rains."
        assert second.finish_reason is FinishReason.STOP
    assert [asked["status"] for asked in third_party_server.requests()] == [200, 200]


async def test_a_tool_that_must_be_called_is_called(opened: Opened) -> None:
    async with opened() as client:
        for choice in ("required", trillium.NamedTool("get_weather")):
            completion = await client.complete(
                Request("Hello.", tools=[WEATHER], tool_choice=choice)
            )
            (call,) = completion.tool_calls
            assert call.name == "get_weather"
        completion = await client.complete(Request("Hello.", tools=[WEATHER], tool_choice="none"))
        assert completion.tool_calls == ()


async def test_malformed_arguments_come_as_they_are(
    third_party_server: ThirdPartyServer, opened: Opened, dialect: str
) -> None:
    third_party_server.script({"type": "tool_fault", "kind": "malformed_arguments"})
    async with opened() as client:
        async with client.stream(Request("What is the weather?", tools=[WEATHER])) as stream:
            completion = await stream.read()
    (call,) = completion.tool_calls
    assert call.name == "get_weather"
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.arguments)


async def test_verify_pays_nothing_for_a_model_that_is_listed(
    third_party_server: ThirdPartyServer, opened: Opened, dialect: str
) -> None:
    listed = {"openai-chat": "gpt-4o", "anthropic": "claude-opus-4-6"}[dialect]
    async with opened() as client:
        found = await client.verify(model=listed)
    assert (found.success, found.model_available, found.paid) == (True, True, False)
    assert all(asked["method"] == "GET" for asked in third_party_server.requests())


# Errors and retries, as the server saw them.


async def test_a_retry_after_is_waited_for(
    third_party_server: ThirdPartyServer, opened: Opened
) -> None:
    third_party_server.script({"type": "fail", "status": 429, "retry_after": 0.2})
    async with opened() as client:
        completion = await client.complete("Why?")
    (fault,) = completion.faults
    assert (fault.kind, fault.retry_after_s) == (ErrorKind.RATE_LIMITED, 0.2)
    asked = third_party_server.requests()
    assert [request["status"] for request in asked] == [429, 200]
    assert len({request["fingerprint"] for request in asked}) == 1
    assert third_party_server.verdict()["findings"] == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, ErrorKind.SERVER_ERROR),
        (500, ErrorKind.SERVER_ERROR),
        (502, ErrorKind.SERVER_ERROR),
        (503, ErrorKind.OVERLOADED),
        (504, ErrorKind.SERVER_ERROR),
        (529, ErrorKind.OVERLOADED),
    ],
)
async def test_what_may_pass_is_tried_again(
    third_party_server: ThirdPartyServer, opened: Opened, status: int, kind: ErrorKind
) -> None:
    third_party_server.script({"type": "fail", "status": status, "retry_after": 0})
    async with opened() as client:
        completion = await client.complete("Why?")
    assert [fault.kind for fault in completion.faults] == [kind]
    assert [asked["status"] for asked in third_party_server.requests()] == [status, 200]
    assert findings(third_party_server) == []


@pytest.mark.parametrize(
    ("fail", "kind"),
    [
        ({"status": 400, "message": "temperature is too hot"}, ErrorKind.INVALID_REQUEST),
        ({"status": 400, "code": "context_length_exceeded"}, ErrorKind.CONTEXT_TOO_LONG),
        ({"status": 401}, ErrorKind.AUTHENTICATION),
        ({"status": 403}, ErrorKind.PERMISSION_DENIED),
        ({"status": 404}, ErrorKind.UNEXPECTED_STATUS),
        ({"status": 422}, ErrorKind.INVALID_REQUEST),
        ({"status": 429, "code": "insufficient_quota"}, ErrorKind.NO_CREDIT),
    ],
)
async def test_what_cannot_succeed_is_asked_once(
    third_party_server: ThirdPartyServer,
    opened: Opened,
    fail: dict[str, Any],
    kind: ErrorKind,
) -> None:
    third_party_server.script({"type": "fail", "times": None} | fail)
    async with opened() as client:
        with pytest.raises(trillium.RequestError) as caught:
            await client.complete("Why?")
    assert caught.value.kind is kind
    assert caught.value.status == fail["status"]
    assert fail.get("message", "") in str(caught.value)
    assert len(third_party_server.requests()) == 1
    assert findings(third_party_server) == []


async def test_it_gives_up_after_a_bounded_number_of_attempts(
    third_party_server: ThirdPartyServer, opened: Opened
) -> None:
    third_party_server.script({"type": "fail", "status": 500, "times": None})
    async with opened(retry=RetryPolicy(max_attempts=4, base_s=0.02)) as client:
        with pytest.raises(trillium.StatusError) as caught:
            await client.complete("Why?")
    assert caught.value.attempts == len(third_party_server.requests()) == 4
    assert findings(third_party_server) == []


async def test_a_batch_gets_all_its_answers_from_a_server_that_fails_often(
    third_party_server: ThirdPartyServer, opened: Opened
) -> None:
    third_party_server.script(
        {"type": "fail", "status": 500, "times": 6},
        {"type": "fail", "status": 503, "retry_after": 0.12, "times": 4},
    )
    async with opened() as client:
        outcomes = await client.complete_all([f"prompt {n}" for n in range(30)], concurrency=6)
    assert all(outcome.success for outcome in outcomes)
    asked = third_party_server.requests()
    assert len(asked) == 40
    assert sum(outcome.attempts for outcome in outcomes) == 40
    assert findings(third_party_server) == []


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
async def test_a_broken_stream_of_which_nothing_was_shown_is_asked_again(
    third_party_server: ThirdPartyServer, opened: Opened, kind: str
) -> None:
    text = "one two three four five six"
    third_party_server.script(
        {"type": "stream_fault", "kind": kind, "after_chunks": 4, "times": 2},
        {"type": "reply", "text": text, "times": None},
    )
    async with opened() as client:
        (outcome,) = await client.complete_all(["Count."], timeouts=STREAMING)
    assert isinstance(outcome, Completion)
    assert (outcome.text, outcome.attempts) == (text, 3)
    assert third_party_server.verdict()["attempts"] == 3
    assert findings(third_party_server) == []


async def test_a_stall_is_noticed_and_asked_again(
    third_party_server: ThirdPartyServer, opened: Opened
) -> None:
    third_party_server.script({"type": "stream_fault", "kind": "stall", "after_chunks": 4})
    async with opened() as client:
        (outcome,) = await client.complete_all(["Count."], timeouts=Timeouts(stall_s=0.1))
    assert isinstance(outcome, Completion)
    assert [fault.kind for fault in outcome.faults] == [ErrorKind.STALL_TIMEOUT]
    assert third_party_server.verdict()["findings"] == []


@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
async def test_a_stream_that_breaks_after_it_was_shown_is_raised(
    third_party_server: ThirdPartyServer, opened: Opened, kind: str
) -> None:
    third_party_server.script(
        {"type": "stream_fault", "kind": kind, "after_chunks": 5},
        {"type": "reply", "text": "one two three four five six seven eight nine ten"},
    )
    async with opened() as client:
        with pytest.raises(trillium.RequestError) as caught:
            async with client.stream("Count.") as stream:
                await stream.read()
        assert caught.value.partial_text.startswith("one two ")
        assert "ten" not in caught.value.partial_text
        assert caught.value.attempts == 1
        assert (await client.complete("Still there?")).success


async def test_a_failure_of_one_request_loses_no_other(
    third_party_server: ThirdPartyServer, opened: Opened
) -> None:
    third_party_server.script({"type": "fail", "status": 400})
    async with opened() as client:
        outcomes = await client.complete_all([f"prompt {n}" for n in range(10)], concurrency=1)
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [True] + [False] * 9
