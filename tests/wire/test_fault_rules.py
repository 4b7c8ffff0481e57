"""What the errors of the providers mean: literal statuses, headers and bodies."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.error_body import read_error_body
from trillium._wire.fault_rules import (
    answer_fault,
    body_fault,
    decode_as,
    error_fault,
    error_fault_in,
    status_fault,
)
from trillium._wire.headers import Headers
from trillium.errors import ErrorKind, Fault

NOW = 1_795_552_200.0


def fault_of(status: int, body: bytes | str, *fields: tuple[str, str]) -> Fault:
    raw = body.encode() if isinstance(body, str) else body
    return status_fault(status, Headers.of(fields), raw, now_unix=NOW)


def openai(message: str, type_: str | None, code: str | float | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": type_, "param": None, "code": code}})


def anthropic(type_: str, message: str, **details: str) -> str:
    error = {"type": type_, "message": message, **({"details": details} if details else {})}
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"})


def google(status: int, word: str, message: str, *details: dict[str, object]) -> str:
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    return json.dumps([{"error": error}])


def quota_failure(**violation: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


TPM = "Rate limit reached for gpt-4o in organization org-a on tokens per min (TPM): "

CASES = [
    # OpenAI
    (400, openai("This model's maximum context length is 8192 tokens.", "invalid_request_error",
                 "context_length_exceeded"), "context_too_long", "context_length_exceeded"),
    (400, openai("Rejected", "invalid_request_error", "content_policy_violation"),
     "content_filtered", "content_policy_violation"),
    (400, openai("Unsupported parameter: 'x'", "invalid_request_error", "unsupported_parameter"),
     "invalid_request", "unsupported_parameter"),
    (400, openai("bad", "invalid_request_error"), "invalid_request", "invalid_request_error"),
    (401, openai("Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
     "authentication", "invalid_api_key"),
    (403, openai("Country not supported", "request_forbidden",
                 "unsupported_country_region_territory"), "permission_denied",
     "unsupported_country_region_territory"),
    (404, openai("The model `x` does not exist", "invalid_request_error", "model_not_found"),
     "model_not_found", "model_not_found"),
    (404, openai("Invalid URL (POST /v1/models/chat)", "invalid_request_error"),
     "unexpected_status", "invalid_request_error"),
    (409, openai("Conflict", None), "server_error", None),
    (422, openai("Unprocessable", None), "invalid_request", None),
    (429, openai(TPM + "Limit 30000, Used 29000, Requested 2000. Please try again in 2s.",
                 "tokens", "rate_limit_exceeded"), "rate_limited", "rate_limit_exceeded"),
    (429, openai("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested "
                 "40000.", "tokens", "rate_limit_exceeded"), "invalid_request",
     "rate_limit_exceeded"),
    (429, openai("Slow down", "rate_limit_error", "slow_down"), "rate_limited", "slow_down"),
    *((429, openai("You exceeded your quota", "insufficient_quota", code), "no_credit", code)
      for code in ("insufficient_quota", "credit_balance_exhausted",
                   "organization_spend_limit_exceeded", "organization_usage_limit_exceeded",
                   "project_spend_limit_exceeded")),
    (429, openai("Quota", "insufficient_quota"), "no_credit", "insufficient_quota"),
    (500, openai("Oops", "server_error"), "server_error", "server_error"),
    (503, openai("Busy", "service_unavailable_error", "server_is_overloaded"), "overloaded",
     "server_is_overloaded"),
    (503, openai("Busy", None, "slow_down"), "overloaded", "slow_down"),
    # Azure
    (400, ('{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter",'
          '"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}'),
     "content_filtered", "ResponsibleAIPolicyViolation"),
    (404, '{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist"}}',
     "model_not_found", "DeploymentNotFound"),
    (401, '{"error":{"code":"401","message":"Access denied"}}', "authentication", None),
    # Anthropic
    (400, anthropic("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
     "context_too_long", "invalid_request_error"),
    (400, anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit"),
     "context_too_long", "invalid_request_error"),
    (400, anthropic("invalid_request_error", "You have reached your specified API usage limits. "
                    "You will regain access on 2026-12-01."), "no_credit", "invalid_request_error"),
    (400, anthropic("invalid_request_error", "You have reached your specified workspace API usage "
                    "limits."), "no_credit", "invalid_request_error"),
    (400, anthropic("invalid_request_error", "Your credit balance is too low to access the API"),
     "no_credit", "invalid_request_error"),
    (401, anthropic("authentication_error", "invalid x-api-key"), "authentication",
     "authentication_error"),
    (402, anthropic("billing_error", "No"), "no_credit", "billing_error"),
    (403, anthropic("permission_error", "No"), "permission_denied", "permission_error"),
    (404, anthropic("not_found_error", "model: claude-x"), "model_not_found", "not_found_error"),
    (404, anthropic("not_found_error", "Not Found"), "unexpected_status", "not_found_error"),
    (408, anthropic("timeout_error", "Slow"), "server_error", "timeout_error"),
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), "invalid_request",
     "request_too_large"),
    (429, anthropic("rate_limit_error", "Number of request tokens has exceeded your limit"),
     "rate_limited", "rate_limit_error"),
    (429, anthropic("rate_limit_error", "Grew", error_code="ramp_limit_exceeded"), "rate_limited",
     "ramp_limit_exceeded"),
    (429, anthropic("rate_limit_error", "Cap", error_code="enforced_spend_limit_reached"),
     "no_credit", "enforced_spend_limit_reached"),
    (403, anthropic("permission_error", "Hold", error_code="organization_on_hold"), "no_credit",
     "organization_on_hold"),
    (500, anthropic("api_error", "Internal server error"), "server_error", "api_error"),
    (504, anthropic("timeout_error", "Timed out"), "server_error", "timeout_error"),
    (529, anthropic("overloaded_error", "Overloaded"), "overloaded", "overloaded_error"),
    # Gemini, by its OpenAI-compatible way
    (400, google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                 {"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                  "reason": "API_KEY_INVALID"}), "authentication", "API_KEY_INVALID"),
    (400, google(400, "INVALID_ARGUMENT", "Bad field"), "invalid_request", "INVALID_ARGUMENT"),
    (400, google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum "
                 "number of tokens allowed (1048576)."), "context_too_long", "INVALID_ARGUMENT"),
    (400, google(400, "FAILED_PRECONDITION", "User location is not supported"),
     "permission_denied", "FAILED_PRECONDITION"),
    (404, google(404, "NOT_FOUND", "models/gemini-x is not found for API version v1beta"),
     "model_not_found", "NOT_FOUND"),
    (429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded",
                 quota_failure(quotaId="GenerateRequestsPerMinutePerProject", quotaValue="20")),
     "rate_limited", "RESOURCE_EXHAUSTED"),
    (429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded",
                 quota_failure(quotaId="GenerateRequestsPerDayPerProject", quotaValue="20")),
     "no_credit", "RESOURCE_EXHAUSTED"),
    (429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded", quota_failure(quotaValue="0")),
     "no_credit", "RESOURCE_EXHAUSTED"),
    (429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0, model: y"),
     "no_credit", "RESOURCE_EXHAUSTED"),
    (500, google(500, "INTERNAL", "An internal error has occurred"), "server_error", "INTERNAL"),
    (503, google(503, "UNAVAILABLE", "The model is overloaded"), "overloaded", "UNAVAILABLE"),
    (504, google(504, "DEADLINE_EXCEEDED", "Deadline"), "server_error", "DEADLINE_EXCEEDED"),
    # OpenRouter
    (402, '{"error":{"code":402,"message":"Insufficient credits"}}', "no_credit", None),
    (402, ('{"error":{"code":402,"message":"This request requires more credits, or fewer '
          'max_tokens."}}'), "invalid_request", None),
    (403, ('{"error":{"code":403,"message":"Input flagged","metadata":{"reasons":["violence"],'
          '"flagged_input":"x"}}}'), "content_filtered", None),
    (429, '{"error":{"code":429,"message":"Rate limit exceeded: free-models-per-day. Add some"}}',
     "no_credit", None),
    (429, '{"error":{"code":429,"message":"Rate limit exceeded: free-models-per-min. "}}',
     "rate_limited", None),
    (429, ('{"error":{"code":429,"message":"Limit","metadata":{"limit_source":'
          '"openrouter_free_tier_daily"}}}'), "no_credit", "openrouter_free_tier_daily"),
    (400, '{"error":{"code":400,"message":"x is not a valid model ID"}}', "model_not_found", None),
    (502, '{"error":{"code":502,"message":"Provider returned error","metadata":{"raw":"boom"}}}',
     "server_error", None),
    # DeepSeek
    (400, openai("Model Not Exist", "invalid_request_error", "invalid_request_error"),
     "model_not_found", "invalid_request_error"),
    (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), "no_credit",
     "invalid_request_error"),
    # vLLM, old and new
    (400, ('{"object":"error","message":"This model\'s maximum context length is 4096 tokens",'
          '"type":"BadRequestError","param":null,"code":400}'), "context_too_long",
     "BadRequestError"),
    (404, ('{"error":{"message":"The model `x` does not exist.","type":"NotFoundError",'
          '"param":"model","code":404}}'), "model_not_found", "NotFoundError"),
    # llama.cpp
    (400, ('{"error":{"code":400,"message":"the request exceeds the available context size",'
          '"type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}'),
     "context_too_long", "exceed_context_size_error"),
    (503, '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
     "overloaded", "unavailable_error"),
    # Ollama, LM Studio
    (404, ('{"error":{"message":"model \\"x\\" not found, try pulling it first",'
          '"type":"not_found_error","param":null,"code":null}}'), "model_not_found",
     "not_found_error"),
    (400, ('{"error":"The number of tokens to keep from the initial prompt is greater than the '
          'context length"}'), "context_too_long", None),
    # Together, Mistral, Groq
    (403, openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097",
                 "invalid_request_error"), "context_too_long", "invalid_request_error"),
    (403, openai("Forbidden", "forbidden"), "permission_denied", "forbidden"),
    (422, ('{"detail":[{"type":"less_than_equal","loc":["body","temperature"],"msg":"Input should '
          'be less than or equal to 1.5"}]}'), "invalid_request", None),
    (422, ('{"object":"error","message":{"detail":[{"loc":["body","x"],"msg":"no"}]},'
          '"type":"invalid_request_message_order","code":"3230"}'), "invalid_request", None),
    (498, openai("Capacity", None, "capacity_exceeded"), "overloaded", "capacity_exceeded"),
    # Proxies
    (404, "404 page not found", "unexpected_status", None),
    (404, "<html><h1>No model here</h1></html>", "unexpected_status", None),
    (405, '{"detail":"Method Not Allowed"}', "unexpected_status", None),
    (410, '{"error":{"message":"This model has been retired"}}', "model_not_found", None),
    (403, '{"errors":[{"code":"1010","message":"banned"}]}', "permission_denied", None),
    (502, "<html><head><title>502 Bad Gateway</title></head></html>", "server_error", None),
    (520, "", "server_error", None),
    (204, "", "unexpected_status", None),
    (400, "data: oops\n\n", "invalid_request", None),
    # The body of a stream under an error's status
    (400, 'data: {"error":{"message":"Bad","type":"BadRequestError","code":400}}\n\n',
     "invalid_request", "BadRequestError"),
    (429, ': hi\ndata: oops\ndata:{"error":{"message":"q","code":"insufficient_quota"}}\n\n',
     "no_credit", "insufficient_quota"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "code"), CASES)
def test_errors_of_providers_are_told_apart(status, body, kind, code):
    fault = fault_of(status, body)
    assert (fault.kind.value, fault.code) == (kind, code)
    assert fault.status == status
    assert "\n" not in fault.message
    assert str(status) in fault.message


def test_the_message_has_status_code_and_text():
    fault = fault_of(429, openai("Too fast", "requests", "rate_limit_exceeded"))
    assert fault.message == "status 429, rate_limit_exceeded: Too fast"


def test_the_provider_behind_a_router_is_quoted():
    body = '{"error":{"code":502,"message":"Provider returned error","metadata":{"raw":"boom"}}}'
    assert fault_of(502, body).message == "status 502: Provider returned error: boom"


def test_fastapi_says_which_field():
    body = '{"detail":[{"loc":["body","temperature"],"msg":"too high"}]}'
    assert fault_of(422, body).message == "status 422: body.temperature: too high"


@pytest.mark.parametrize(
    "body", ['{"detail":["a"]}', '{"detail":"a"}', '{"message":"a"}', '"a"', "a"]
)
def test_what_has_no_fields_is_quoted(body):
    assert fault_of(400, body).message.rstrip('"').endswith("a")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "without a word of why"),
        ("{}", "{}"),
        ("<html>x", "an HTML page"),
        ("<TITLE> 502 &amp;\n Bad </TITLE>", "an HTML page, '502 & Bad'"),
        ('{"error":{"code":500}}', '{"code":500}'),
        ('{"error":true,"x":1}', '{"error":true,"x":1}'),
        ("[[1]]", "1"),
        ('{"error":{"message":"a\\u001b[31mb"}}', "a\ufffd[31mb"),
    ],
)
def test_any_body_gives_a_line_that_cannot_steer_a_terminal(body, text):
    assert fault_of(500, body).message == f"status 500: {text}"


def test_long_texts_are_cut():
    assert len(fault_of(500, openai("x" * 100_000, None)).message) < 400


@pytest.mark.parametrize(
    ("fields", "body", "seconds"),
    [
        ([("retry-after", "7")], openai("Please try again in 5.289s.", "tokens"), 7.0),
        ([], openai("Please try again in 5.289s.", "tokens"), 5.289),
        ([], openai("Please try again in 6m0s.", "requests"), 360.0),
        ([], openai("Please try again in 12ms.", "requests"), 0.012),
        ([], openai("Please try again later.", "requests"), None),
        ([], google(429, "RESOURCE_EXHAUSTED", "Please retry in 10h17m5.7s."), 37025.7),
        ([], google(429, "RESOURCE_EXHAUSTED", "Q", {"retryDelay": "45.837906s"}), 45.837906),
        ([], google(429, "RESOURCE_EXHAUSTED", "Quota", {"retryDelay": "0s"}), 0.0),
        ([], "Please try again in 3s", 3.0),
    ],
)  # fmt: skip
def test_waits_are_found_in_headers_first_then_in_the_body(fields, body, seconds):
    found = fault_of(429, body, *fields).retry_after_s
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_402_with_a_retry_after_is_a_limit_of_what_is_in_flight():
    """openrouter.ai/docs/api/reference/errors-and-debugging"""
    fault = fault_of(402, '{"error":{"code":402,"message":"Later"}}', ("Retry-After", "3"))
    assert (fault.kind, fault.retry_after_s) == (ErrorKind.RATE_LIMITED, 3.0)


def test_x_should_retry_is_passed_on():
    assert fault_of(400, "", ("x-should-retry", "true")).should_retry is True


def test_a_gateway_that_lost_its_server_may_have_it_billed():
    assert fault_of(504, "").possibly_billed
    assert not fault_of(429, "").possibly_billed


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("https://user:pw@other.example/p?token=1", "'other.example'"),
        ("/v1/", "another path"),
        (None, "another path"),
    ],
)
def test_a_redirect_names_the_host_alone(location, text):
    fields = [] if location is None else [("Location", location)]
    fault = fault_of(308, "", *fields)
    assert fault.kind is ErrorKind.UNEXPECTED_STATUS
    assert text in fault.message
    assert "token" not in fault.message
    assert "pw" not in fault.message


@pytest.mark.parametrize(
    ("body", "kind", "billed"),
    [
        ('{"error":{"message":"Overloaded","type":"overloaded_error"}}', "overloaded", True),
        ('{"error":{"message":"m","type":"rate_limit_error"}}', "rate_limited", False),
        ('{"error":{"message":"m","code":"slow_down"}}', "overloaded", True),
        ('{"error":{"message":"m","type":"invalid_request_error"}}', "invalid_request", False),
        ('{"error":{"message":"m","type":"server_error"}}', "server_error", True),
        ('{"error":{"message":"m","code":502}}', "server_error", True),
        ('{"error":{"message":"m","code":"429"}}', "rate_limited", False),
        ('{"error":"Context size has been exceeded: context length"}', "context_too_long", False),
        ('{"object":"error","message":"m","code":400}', "invalid_request", False),
        ('[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]', "overloaded", True),
    ],
)
def test_errors_in_a_200_are_told_apart_by_what_they_say(body, kind, billed):
    fault = error_fault_in(body.encode())
    assert fault is not None
    assert (fault.kind.value, fault.possibly_billed, fault.status) == (kind, billed, 200)


@pytest.mark.parametrize("raw", [b"{", b"1", b'{"error":null}', b'{"choices":[]}', b"[1,2]"])
def test_what_does_not_say_so_is_no_error(raw):
    assert error_fault_in(raw) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "truncated"),
        (b" \n\n", "truncated"),
        (b'{"choices":[{"mess', "truncated"),
        (b'{"choices":,}', "protocol_error"),
        (b"<html>", "protocol_error"),
        (b"null", "protocol_error"),
        (b'{"error":{"message":"x","code":"insufficient_quota"}}', "no_credit"),
    ],
)
def test_a_body_that_is_no_answer_is_a_fault(body, kind):
    assert body_fault(body).kind.value == kind


class Wanted(msgspec.Struct):
    text: str
    usage: int = 0


DECODER = msgspec.json.Decoder(Wanted)


def test_a_spare_field_of_the_wrong_type_does_not_lose_the_rest():
    spare = frozenset({"usage"})
    found = decode_as(DECODER, b'{"text":"a","usage":"x"}', spare=spare)
    assert found == Wanted("a")
    for raw in (b'{"text":1,"usage":"x"}', b'{"usage":"x"}'):
        lost = decode_as(DECODER, raw, spare=spare)
        assert isinstance(lost, Fault)
    mended = decode_as(DECODER, b'{"text":"\\ud800"}')
    assert mended == Wanted("\ufffd")


def test_a_fault_in_an_answer_may_be_billed():
    assert answer_fault(ErrorKind.TRUNCATED, "cut").possibly_billed


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "message",
                    "code",
                    "type",
                    "status",
                    "details",
                    "detail",
                    "metadata",
                    "errors",
                    "violations",
                    "retryDelay",
                    "quotaId",
                    "reason",
                    "loc",
                    "msg",
                    "innererror",
                    "raw",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(value=ODD, status=st.integers(200, 599))
def test_any_json_under_any_status_is_a_fault_of_one_line(value, status):
    raw = json.dumps(value).encode()
    for fault in (fault_of(status, raw), body_fault(raw), error_fault(read_error_body(raw))):
        assert fault.message == " ".join(fault.message.split())
        assert fault.retry_after_s is None or fault.retry_after_s >= 0


@given(body=st.binary(max_size=80))
def test_any_bytes_are_a_fault_of_one_line(body):
    fault = fault_of(500, body)
    assert fault.message.isprintable()
