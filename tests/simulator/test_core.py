"""Any request gives a plan, and the same request the same one."""

import itertools
import json

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trillium.completions import FinishReason, Usage
from trillium.errors import InvalidRequestError, LocalProtocolError
from trillium.simulator import (
    Cut,
    Ending,
    FaultKind,
    Faults,
    Plan,
    Reset,
    Scripted,
    Send,
    SimulatedQuota,
    SimulatedRequest,
    Simulator,
    SimulatorSettings,
    Stall,
    Wait,
)
from trillium.simulator.core import MAX_BODY_BYTES
from trillium.simulator.words import Reply, Said, SaidKind

KEY = {"authorization": "Bearer sim-key"}
ANTHROPIC = {"x-api-key": "sim-key", "anthropic-version": "2023-06-01"}
BREAKING = (Reset, Cut, Stall)


def chat(prompt="hello", *, method="POST", path="/v1/chat/completions", headers=KEY, **fields):
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}
    return SimulatedRequest(
        method=method, path=path, headers=headers, body=json.dumps(body).encode()
    )


def message(prompt="hello", **fields):
    return chat(prompt, path="/v1/messages", headers=ANTHROPIC, **{"max_tokens": 50, **fields})


def get(path, headers=KEY):
    return SimulatedRequest(method="GET", path=path, headers=headers)


def wire(plan):
    return b"".join(step.body for step in plan.steps if isinstance(step, Send))


def told(plan):
    return plan.status, plan.headers, list(plan.steps), plan.outcome


def answered(simulator, request, now=0.0):
    plan = simulator.plan(request, now)
    simulator.end(plan, now=now, tokens=0)
    return plan


def one(request, **settings):
    return answered(Simulator(SimulatorSettings(**settings)), request)


def text_of(plan):
    return json.loads(wire(plan))["choices"][0]["message"]["content"]


PATHS = st.sampled_from(
    ["/v1/chat/completions", "/chat/completions", "/v1/messages", "/messages", "/v1/models"]
) | st.text(max_size=20)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "CONNECT"])
HEADERS = st.sampled_from([KEY, ANTHROPIC, {**KEY, "anthropic-version": "x"}, {}])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = ["model", "messages", "stream", "max_tokens", "stop", "tools", "tool_choice", "system"]
MESSAGES = st.just([{"role": "user", "content": "hello"}])
BODIES = st.binary() | st.fixed_dictionaries(
    {"model": st.just("m"), "messages": MESSAGES | VALUES},
    optional={
        **dict.fromkeys(NAMES[2:], VALUES),
        "stream": st.booleans(),
        "max_tokens": st.integers(0, 40),
        "response_format": VALUES | st.just({"type": "json_object"}),
    },
).map(lambda value: json.dumps(value).encode())
SETTINGS = st.builds(
    SimulatorSettings,
    seed=st.integers(),
    latency_s=st.sampled_from([0, 1.5]),
    latency_spread=st.sampled_from([0, 1]),
    tokens_per_second=st.sampled_from([None, 20]),
    keep_alive_s=st.sampled_from([None, 0.5]),
    header_style=st.sampled_from(["all", "openai"]),
    quota=st.sampled_from([SimulatedQuota(), SimulatedQuota(requests_per_day=9, concurrent=3)]),
    faults=st.sampled_from([Faults()] + [Faults(**{kind.value: 1.0}) for kind in FaultKind]),
)
REQUESTS = st.builds(SimulatedRequest, method=METHODS, path=PATHS, headers=HEADERS, body=BODIES)


@settings(max_examples=50)
@given(like=SETTINGS, requests=st.lists(REQUESTS, max_size=4))
def test_any_request_gives_a_plan_that_http_can_carry(like, requests):
    simulator = Simulator(like)
    for i, request in enumerate(requests):
        plan = simulator.plan(request, float(i))
        steps = list(plan.steps)
        assert 200 <= plan.status <= 599
        assert all(isinstance(step, Wait | Send) for step in steps[:-1])
        assert all(step.seconds > 0 for step in steps if isinstance(step, Wait))
        broken = bool(steps) and isinstance(steps[-1], BREAKING)
        assert plan.whole != broken
        length = dict(plan.headers).get("content-length")
        if length is not None and not broken and request.method != "HEAD":
            assert int(length) == len(wire(plan))
        if i % 2:
            simulator.end(plan, now=i + 0.5, tokens=0)
    assert simulator.ledger.received == len(requests)


@settings(max_examples=50)
@given(like=SETTINGS, requests=st.lists(REQUESTS, max_size=3))
def test_the_same_seed_gives_the_same_plans(like, requests):
    def plans():
        simulator = Simulator(like)
        return [told(simulator.plan(request, 0.0)) for request in requests]

    assert plans() == plans()


@settings(max_examples=25)
@given(st.permutations(range(6)))
def test_what_befalls_a_request_does_not_depend_on_the_others(order):
    kinds = [FaultKind.CUT, FaultKind.RESET, FaultKind.SERVER_ERROR, FaultKind.RATE_LIMITED]
    faults = Faults(**dict.fromkeys(kinds, 0.2))
    like = SimulatorSettings(faults=faults, latency_s=1, latency_spread=1, header_style="all")

    def fates(numbers):
        simulator = Simulator(like)
        # Each body comes twice: its attempts are told apart.
        return {
            (number, attempt): told(answered(simulator, chat(f"prompt {number}")))
            for attempt in (1, 2)
            for number in numbers
        }

    assert fates(order) == fates(range(6))


def test_another_attempt_has_another_fate():
    simulator = Simulator(SimulatorSettings(faults=Faults(server_error=0.5)))
    statuses = [answered(simulator, chat()).status for _ in range(40)]
    assert set(statuses) == {200, 500}
    assert [entry.attempt for entry in simulator.ledger.entries] == list(range(1, 41))


def test_another_seed_has_other_fates():
    def statuses(seed):
        simulator = Simulator(SimulatorSettings(seed=seed, faults=Faults(server_error=0.5)))
        return [answered(simulator, chat(str(i))).status for i in range(40)]

    assert statuses(1) != statuses(2)


@pytest.mark.parametrize(("keep", "attempts"), [(2, [3, 1]), (None, [1, 1, 2, 1, 3, 2])])
def test_the_attempts_of_as_many_requests_as_are_kept_are_remembered(keep, attempts):
    simulator = Simulator(SimulatorSettings(keep=keep))
    for prompt in ("a", "b", "a", "c", "a", "b"):
        answered(simulator, chat(prompt))
    assert [entry.attempt for entry in simulator.ledger.entries] == attempts


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions?a=b"]
)
def test_openai_is_spoken_with_and_without_version(path):
    plan = one(chat(path=path))
    assert plan.status == 200
    assert text_of(plan).startswith('Answer to "hello": ')
    headers = dict(plan.headers)
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")


def test_anthropic_is_spoken_at_the_same_place():
    plan = one(message())
    body = json.loads(wire(plan))
    assert body["content"][0]["text"].startswith('Answer to "hello": ')
    assert dict(plan.headers)["request-id"].startswith("req_")


def test_both_dialects_and_streams_say_the_same():
    text = text_of(one(chat()))
    assert json.loads(wire(one(message())))["content"][0]["text"] == text
    events = wire(one(chat(stream=True))).decode().split("\n\n")
    chunks = [json.loads(event[6:]) for event in events if event and event != "data: [DONE]"]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == text


def test_the_time_is_told_from_the_runs_clock():
    simulator = Simulator(unix_offset_s=1_795_000_000.0)
    plan = simulator.plan(chat(), 100.0)
    assert json.loads(wire(plan))["created"] == 1_795_000_100
    assert dict(plan.headers)["date"] == "Wed, 18 Nov 2026 11:08:20 GMT"


def test_an_answer_takes_as_long_as_its_tokens():
    plan = one(chat(), latency_s=2, tokens_per_second=10, output_tokens=21)
    wait, send = plan.steps
    assert wait.seconds == pytest.approx(4.0)
    assert send.tokens == 21


def test_a_stream_gives_a_token_at_a_time():
    plan = one(chat(stream=True), latency_s=2, tokens_per_second=10, output_tokens=21)
    steps = list(plan.steps)
    assert steps[0] == Wait(2)
    assert steps.count(Wait(0.1)) == 20
    assert sum(step.tokens for step in steps if isinstance(step, Send)) == 21
    assert steps == list(plan.steps)
    assert "content-length" not in dict(plan.headers)


def test_keep_alives_fill_the_wait_for_the_first_token():
    for request, line in (
        (chat(stream=True), b": keep-alive\n\n"),
        (message(stream=True), b"event: ping"),
    ):
        first = list(one(request, latency_s=2.5, keep_alive_s=1).steps)[:5]
        assert [s.seconds for s in first[::2]] == [1, 1, 0.5]
        assert all(s.body.startswith(line) for s in first[1::2])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic sim-key"}, 401),
        ({"authorization": "bearer sim-key"}, 200),
        ({"api-key": "sim-key"}, 200),
        ({"x-api-key": "sim-key"}, 200),
    ],
)
def test_the_key_must_be_good(headers, status):
    plan = one(chat(headers=headers))
    assert plan.status == status
    assert b"sim-key" not in wire(plan) + repr(plan).encode()
    assert one(get("/v1/models", headers)).status == status


def test_any_key_will_do_where_none_is_told():
    assert one(chat(headers={"authorization": "Bearer x"}), keys=None).status == 200
    assert one(chat(headers={}), keys=None).status == 401


def test_a_refusal_is_in_the_dialects_form():
    assert json.loads(wire(one(chat(headers={}))))["error"]["code"] == "invalid_api_key"
    plan = one(chat(path="/v1/messages", headers={}))
    assert json.loads(wire(plan))["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (chat(path="/v1/nothing"), 404),
        (chat(path="/v1/v1/models"), 404),
        (chat(method="GET"), 405),
        (chat(path="/v1/models"), 405),
        (chat(n=2), 400),
        (chat(model="other"), 404),
        (chat(model=""), 404),
        (message(max_tokens=None), 400),
        (get("/v1/models/other"), 404),
        (get("/v1/models/a%2Fb"), 200),
        (get("/v1/models/a/b"), 200),
    ],
)
def test_what_cannot_be_served_is_refused(request_, status):
    simulator = Simulator(SimulatorSettings(models=["m", "a/b"]))
    plan = answered(simulator, request_)
    assert plan.status == status
    assert json.loads(wire(plan))
    assert simulator.ledger.count("refused") == (status != 200)


def test_a_body_without_bound_is_refused():
    assert one(attrs.evolve(chat(), body=b" " * (MAX_BODY_BYTES + 1))).status == 413


def test_models_are_listed_in_either_dialect():
    listed = json.loads(wire(one(get("/v1/models"), models=["a", "b"])))
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert "has_more" in json.loads(wire(one(get("/v1/models", ANTHROPIC))))
    assert json.loads(wire(one(get("/v1/models/any"))))["id"] == "any"


def test_a_head_has_no_body():
    plan = one(attrs.evolve(get("/v1/models"), method="HEAD"))
    assert list(plan.steps) == [Send(b"")]


def test_a_quota_refuses_and_tells_when_to_come_back():
    simulator = Simulator(
        SimulatorSettings(quota=SimulatedQuota(requests_per_minute=60, burst_s=1))
    )
    first, second = (answered(simulator, chat(str(i))) for i in range(2))
    assert dict(first.headers)["x-ratelimit-limit-requests"] == "60"
    assert "retry-after" not in dict(first.headers)
    assert second.status == 429
    assert dict(second.headers)["retry-after-ms"] == "1000"
    assert json.loads(wire(second))["error"]["type"] == "requests"
    entry = simulator.ledger.entries[1]
    assert (entry.outcome, entry.retry_after_s) == ("refused", 1.0)
    assert answered(simulator, chat("2"), now=1.0).status == 200


def test_tokens_are_counted_as_reserved_or_as_used():
    # Two tokens of input, one of them cached; a bound of 60 on the output, of which 32 came.
    for charge, left in (("reserved", 38), ("larger", 40), ("used", 67)):
        quota = SimulatedQuota(tokens_per_minute=100, charge=charge)
        plan = one(chat(max_tokens=60), quota=quota, cached_share=0.5)
        assert dict(plan.headers)["x-ratelimit-remaining-tokens"] == str(left)
    quota = SimulatedQuota(tokens_per_minute=100)
    assert dict(one(chat(), quota=quota).headers)["x-ratelimit-remaining-tokens"] == str(66)


def test_whoever_composes_answers_says_what_they_are_charged():
    usage = Usage(input_tokens=3, output_tokens=40)
    said = Said(kind=SaidKind.TEXT, tokens=("yes",))
    simulator = Simulator(
        SimulatorSettings(quota=SimulatedQuota(tokens_per_minute=50)),
        compose=lambda _asked, _settings: Reply(
            parts=(said,), finish_reason=FinishReason.STOP, usage=usage
        ),
    )
    plan = simulator.plan(chat(), 0)
    assert dict(plan.headers)["x-ratelimit-remaining-tokens"] == "7"
    assert json.loads(wire(plan))["choices"][0]["message"]["content"] == "yes"
    assert simulator.plan(chat(), 0).status == 429


def test_too_many_tokens_are_said_to_be_tokens():
    plan = one(chat(max_tokens=90), quota=SimulatedQuota(tokens_per_minute=50))
    assert json.loads(wire(plan))["error"]["type"] == "tokens"
    assert plan.entry.retry_after_s == 86_400


def test_a_place_is_free_again_when_a_plan_ends():
    simulator = Simulator(SimulatorSettings(quota=SimulatedQuota(concurrent=1)))
    first = simulator.plan(chat("a"), 0)
    assert answered(simulator, chat("b")).status == 429
    simulator.end(first, now=1, tokens=3)
    simulator.end(first, now=1, tokens=3, ending=Ending.ABANDONED)
    second = simulator.plan(chat("c"), 1)
    assert second.status == 200
    assert simulator.plan(chat("d"), 1).status == 429


def test_a_429_has_the_body_of_its_style():
    for style, dialect, kind in (
        ("gemini", chat, list),
        ("openrouter", chat, dict),
        ("gemini", message, dict),
    ):
        plan = one(dialect(), header_style=style, faults=Faults(rate_limited=1, retry_after_s=3))
        assert plan.status == 429
        assert isinstance(json.loads(wire(plan)), kind)
        assert plan.outcome == "fault:rate_limited"
        assert plan.entry.retry_after_s == 3


def spoilt(kind, request, **settings):
    faults = Faults(**{kind.value: 1.0}, drip_s=31)
    plan = one(request, faults=faults, **settings)
    assert plan.outcome == f"fault:{kind.value}"
    return plan


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (FaultKind.RATE_LIMITED, 429),
        (FaultKind.SERVER_ERROR, 500),
        (FaultKind.UNAVAILABLE, 503),
        (FaultKind.OVERLOADED, 529),
    ],
)
@pytest.mark.parametrize("ask", [chat, message])
def test_some_faults_are_a_status(kind, status, ask):
    plan = spoilt(kind, ask())
    assert plan.status == status
    assert "error" in json.loads(wire(plan))


@pytest.mark.parametrize("ask", [chat, message])
@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_sends_nothing(ask, stream):
    assert list(spoilt(FaultKind.RESET, ask(stream=stream), latency_s=1).steps) == [
        Wait(1),
        Reset(),
    ]


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.STALL])
@pytest.mark.parametrize("prompt", ["a", "b", "c"])
def test_a_broken_answer_is_a_part_of_it(kind, prompt):
    plan = spoilt(kind, chat(prompt))
    *_, send, last = plan.steps
    assert isinstance(last, Cut if kind is FaultKind.CUT else Stall)
    whole = wire(one(chat(prompt)))
    assert whole.startswith(send.body)
    assert 0 < len(send.body) < len(whole)


def test_a_malformed_answer_is_no_json_of_the_right_length():
    plan = spoilt(FaultKind.MALFORMED, chat())
    assert int(dict(plan.headers)["content-length"]) == len(wire(plan))
    with pytest.raises(json.JSONDecodeError):
        json.loads(wire(plan))


def test_a_dripping_answer_is_whole_but_late():
    plan = spoilt(FaultKind.DRIP, chat())
    assert wire(plan) == wire(one(chat()))
    waits = [step.seconds for step in plan.steps if isinstance(step, Wait)]
    assert sum(waits) == pytest.approx(31)
    assert len(waits) > 20
    assert sum(step.tokens for step in plan.steps if isinstance(step, Send)) == 32
    at_once = one(chat(), faults=Faults(drip=1, drip_s=0))
    assert all(isinstance(step, Send) for step in at_once.steps)


def test_a_dripping_stream_is_whole_but_late():
    plan = spoilt(FaultKind.DRIP, chat(stream=True))
    assert wire(plan) == wire(one(chat(stream=True)))
    waits = [step.seconds for step in plan.steps if isinstance(step, Wait)]
    assert sum(waits) == pytest.approx(31)


@pytest.mark.parametrize("stream", [False, True])
def test_a_proxys_page_and_an_error_object_come_with_200(stream):
    page = spoilt(FaultKind.HTML, chat(stream=stream))
    assert (page.status, dict(page.headers)["content-type"]) == (200, "text/html; charset=utf-8")
    assert wire(page).startswith(b"<!DOCTYPE html>")
    error = spoilt(FaultKind.ERROR_OBJECT, chat(stream=stream))
    assert (error.status, dict(error.headers)["content-type"]) == (200, "application/json")
    assert "error" in json.loads(wire(error))


@pytest.mark.parametrize("ask", [chat, message])
@pytest.mark.parametrize(
    "kind", [FaultKind.STREAM_ERROR, FaultKind.NO_END, FaultKind.JSON_FOR_STREAM]
)
def test_some_faults_only_a_stream_has(ask, kind):
    plan = one(ask(), faults=Faults(**{kind.value: 1}))
    assert plan.outcome == "answered"


def test_a_whole_answer_comes_where_a_stream_was_asked():
    plan = spoilt(FaultKind.JSON_FOR_STREAM, chat(stream=True))
    assert dict(plan.headers)["content-type"] == "application/json"
    assert wire(plan) == wire(one(chat(stream=True), faults=Faults(json_for_stream=1)))
    assert json.loads(wire(plan))["object"] == "chat.completion"


ENDS = {chat: b"data: [DONE]\n\n", message: b'data: {"type":"message_stop"}\n\n'}


@pytest.mark.parametrize("ask", [chat, message])
@pytest.mark.parametrize("prompt", ["a", "b", "c"])
def test_a_stream_without_its_end_stops_between_two_events(ask, prompt):
    whole = wire(one(ask(prompt, stream=True)))
    short = wire(spoilt(FaultKind.NO_END, ask(prompt, stream=True)))
    assert whole.startswith(short)
    assert short.endswith(b"\n\n")
    assert ENDS[ask] not in short


@pytest.mark.parametrize("ask", [chat, message])
@pytest.mark.parametrize("max_tokens", [0, 20])
def test_an_error_comes_in_mid_stream(ask, max_tokens):
    request = ask(stream=True, max_tokens=max_tokens or (1 if ask is chat else 0))
    sent = wire(spoilt(FaultKind.STREAM_ERROR, request))
    assert b'"overloaded_error"' in sent
    assert b"message_stop" not in sent


@pytest.mark.parametrize("ask", [chat, message])
def test_a_stream_is_cut_within_an_event(ask):
    *_, send, last = spoilt(FaultKind.CUT, ask(stream=True)).steps
    assert isinstance(last, Cut)
    assert not send.body.endswith(b"\n\n")


@pytest.mark.parametrize("every_s", [None, 0.5])
def test_a_stalled_stream_may_keep_alive(every_s):
    plan = spoilt(FaultKind.STALL, message(stream=True), keep_alive_s=every_s)
    stall = list(plan.steps)[-1]
    assert (stall.every_s, stall.keep_alive) == (every_s, b'event: ping\ndata: {"type":"ping"}\n\n')


def test_a_malformed_event_is_followed_by_the_rest():
    events = wire(spoilt(FaultKind.MALFORMED, chat(stream=True))).split(b"\n\n")
    assert events.pop() == b""
    assert events.pop() == b"data: [DONE]"
    broken = 0
    for event in events:
        try:
            json.loads(event.removeprefix(b"data: "))
        except json.JSONDecodeError:
            broken += 1
    assert broken == 1


@pytest.mark.parametrize("kind", [FaultKind.NO_END, FaultKind.CUT, FaultKind.MALFORMED])
def test_a_stream_without_tokens_is_spoilt_at_its_end(kind):
    sent = wire(spoilt(kind, message(stream=True, max_tokens=0)))
    assert b"message_stop" not in sent


def test_a_dripping_stream_without_tokens_is_whole():
    request = message(stream=True, max_tokens=0)
    assert wire(spoilt(FaultKind.DRIP, request)) == wire(one(request))


def scripted(*lines, request=None, **settings):
    simulator = Simulator(SimulatorSettings(**settings))
    simulator.script(list(lines))
    return answered(simulator, request or chat())


def test_a_script_speaks_in_place_of_the_dice():
    plan = scripted("as I say", faults=Faults(reset=1))
    assert text_of(plan) == "as I say"
    plan = scripted(FaultKind.OVERLOADED)
    assert (plan.status, plan.outcome) == (529, "fault:overloaded")


def test_a_scripted_status_has_a_body_in_the_dialects_form():
    plan = scripted(Scripted(status=404, text="no such thing", headers={"X-Extra": "1"}))
    assert plan.status == 404
    assert json.loads(wire(plan))["error"]["message"] == "no such thing"
    assert dict(plan.headers)["x-extra"] == "1"
    assert plan.outcome == "refused"
    assert scripted(Scripted(status=418)).status == 418


def test_a_scripted_body_goes_out_as_it_is():
    body = {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}
    plan = scripted(Scripted(status=429, body=body, latency_s=2))
    first, send = plan.steps
    assert first == Wait(2)
    assert json.loads(send.body) == body
    plan = scripted(Scripted(body="plain", headers={"content-type": "text/plain"}))
    assert (wire(plan), dict(plan.headers)["content-type"]) == (b"plain", "text/plain")
    assert plan.outcome == "answered"


def test_a_script_may_set_the_latency():
    plan = scripted(Scripted(latency_s=7), latency_s=1)
    assert next(iter(plan.steps)) == Wait(7)
    assert next(iter(scripted(Scripted(text="x"), latency_s=1).steps)) == Wait(1)


def test_scripts_can_be_cleared():
    simulator = Simulator()
    simulator.script(["scripted"])
    simulator.clear_scripts()
    assert text_of(answered(simulator, chat())) != "scripted"


def test_a_script_must_be_many_lines_or_a_function():
    with pytest.raises(InvalidRequestError):
        Simulator().script("text")


def test_the_ledger_tells_what_was_asked_and_how_it_ended():
    simulator = Simulator()
    plan = simulator.plan(message("hello there", stream=True), 1.0)
    assert simulator.ledger.in_flight == 1
    simulator.end(plan, now=2.5, tokens=4, ending=Ending.ABANDONED)
    (entry,) = simulator.ledger.entries
    assert (entry.dialect, entry.model, entry.prompt) == ("anthropic", "m", "hello there")
    assert (entry.stream, entry.status, entry.outcome) == (True, 200, "abandoned")
    assert (entry.received_s, entry.ended_s, entry.whole) == (1.0, 2.5, False)
    assert (entry.input_tokens, entry.output_tokens) == (3, 4)


def test_a_broken_answer_is_not_whole():
    for kind, whole in itertools.product([FaultKind.CUT, FaultKind.HTML], [True]):
        plan = scripted(kind)
        assert isinstance(plan, Plan)
        assert plan.entry.whole is (whole and kind is FaultKind.HTML)


def test_a_plan_cannot_be_put_back_in_flight():
    simulator = Simulator()
    plan = simulator.plan(chat(), 0)
    with pytest.raises(LocalProtocolError):
        simulator.end(plan, now=1, tokens=0, ending=Ending.IN_FLIGHT)
    assert simulator.ledger.in_flight == 1
