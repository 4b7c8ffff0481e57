"""What an error means: from status and words to an `ErrorKind`, one table for all dialects.

The words of the providers do not contradict each other, so that a dialect seldom needs rules of
its own. In order, the first that knows decides:

1. words that mean the same whatever the status (`insufficient_quota`, `overloaded_error`);
2. what only the text says (a spend limit that one set oneself is a plain 400 at Anthropic);
3. the status;
4. in a 200, whose status says nothing: weaker words (`server_error`), else a server's error.

Sources, read in November 2026: developers.openai.com/docs/guides/error-codes and
help.openai.com/5955604; platform.claude.com/docs/en/api/errors and anthropic 2.13.0;
openrouter.ai/docs/api/reference/errors-and-debugging; ai.google.dev (google.rpc details);
docs.together.ai/docs/error-codes; llama.cpp PR 16486.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from trillium._wire.error_body import (
    ErrorBody,
    describe_text,
    error_in,
    looks_like_html,
    read_error_body,
    read_error_value,
)
from trillium._wire.headers import Headers
from trillium._wire.json_text import BROKEN, NotJSONError, mapping_in, parse_json
from trillium._wire.retry_after import retry_after_s, should_retry
from trillium.errors import ErrorKind, Fault, quote

T = TypeVar("T")

_DECISIVE: Final[dict[str, ErrorKind]] = {
    **dict.fromkeys(
        (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "project_spend_limit_exceeded",
            "billing_hard_limit_reached",
            "billing_not_active",
            "insufficient_balance",
            "billing_error",
            "enforced_spend_limit_reached",
            "contract_spend_limit_reached",
            "linked_organization_spend_limit_reached",
            "organization_on_hold",
            "openrouter_free_tier_daily",
        ),
        ErrorKind.NO_CREDIT,
    ),
    **dict.fromkeys(
        ("invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated"),
        ErrorKind.AUTHENTICATION,
    ),
    **dict.fromkeys(
        (
            "permission_error",
            "permission_denied",
            "unsupported_country_region_territory",
            # Gemini: the free tier is not offered in the country, or billing is off.
            "failed_precondition",
        ),
        ErrorKind.PERMISSION_DENIED,
    ),
    **dict.fromkeys(("model_not_found", "deploymentnotfound"), ErrorKind.MODEL_NOT_FOUND),
    **dict.fromkeys(
        ("context_length_exceeded", "exceed_context_size_error"), ErrorKind.CONTEXT_TOO_LONG
    ),
    **dict.fromkeys(
        ("content_filter", "content_policy_violation", "responsibleaipolicyviolation"),
        ErrorKind.CONTENT_FILTERED,
    ),
    **dict.fromkeys(("overloaded_error", "server_is_overloaded"), ErrorKind.OVERLOADED),
}

_IN_A_200: Final[dict[str, ErrorKind]] = {
    **dict.fromkeys(
        ("rate_limit_error", "rate_limit_exceeded", "ramp_limit_exceeded", "resource_exhausted"),
        ErrorKind.RATE_LIMITED,
    ),
    **dict.fromkeys(
        ("slow_down", "unavailable", "unavailable_error", "service_unavailable_error"),
        ErrorKind.OVERLOADED,
    ),
    **dict.fromkeys(
        ("invalid_request_error", "invalid_argument", "badrequesterror", "request_too_large"),
        ErrorKind.INVALID_REQUEST,
    ),
}

_BY_STATUS: Final[dict[int, ErrorKind]] = {
    **dict.fromkeys((400, 413, 415, 422), ErrorKind.INVALID_REQUEST),
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.NO_CREDIT,
    403: ErrorKind.PERMISSION_DENIED,
    # 408 and 409 are retried by the official clients; 499 is a gateway that lost its server.
    **dict.fromkeys((408, 409, 425, 499), ErrorKind.SERVER_ERROR),
    429: ErrorKind.RATE_LIMITED,
    # 498 is Groq without flex capacity; 503 a local server that still loads its model, too.
    **dict.fromkeys((498, 503, 529), ErrorKind.OVERLOADED),
}

_MAY_BE_THE_PROMPTS_FAULT: Final = frozenset({None, 400, 403, 413, 422, 500})
_TOO_LONG: Final = re.compile(
    r"context (?:length|window|size|limit)|maximum (?:context|number of tokens)|too many tokens"
    r"|prompt (?:is )?too long|input (?:is )?too long|max_new_tokens.{0,20} must be <="
    r"|exceeds the (?:available )?context",
    re.IGNORECASE,
)
_NO_MONEY: Final = re.compile(
    r"reached your specified (?:workspace )?api usage limits|workspace api usage limits"
    r"|credit balance is too low",
    re.IGNORECASE,
)
_NO_QUOTA: Final = re.compile(r"free-models-per-day|\blimit: 0(?![.\d])", re.IGNORECASE)
_UNKNOWN_MODEL: Final = re.compile(r"model not exist|not a valid model id", re.IGNORECASE)
_MODEL: Final = re.compile(r"(?<!/)\bmodels?\b", re.IGNORECASE)
_LARGER_THAN_BUCKET: Final = re.compile(
    r"\blimit:? (?P<limit>\d{1,15})\b.{0,60}\brequested:? (?P<asked>\d{1,15})\b", re.IGNORECASE
)

_ANSWER_LOST_BY_GATEWAY: Final = frozenset({502, 504, 520, 524})
"""A gateway says these where the server behind it may have done the work."""

_REFUSED_UNREAD: Final = frozenset(
    {
        ErrorKind.INVALID_REQUEST,
        ErrorKind.CONTEXT_TOO_LONG,
        ErrorKind.CONTENT_FILTERED,
        ErrorKind.AUTHENTICATION,
        ErrorKind.PERMISSION_DENIED,
        ErrorKind.NO_CREDIT,
        ErrorKind.MODEL_NOT_FOUND,
        ErrorKind.RATE_LIMITED,
    }
)
"""In a 200 too, these are said before there is anything to bill."""


def status_fault(status: int, headers: Headers, body: bytes, *, now_unix: float) -> Fault:
    """Return what a response says whose status is not 200; as `Dialect.fault`."""
    if 300 <= status < 400:
        return _redirect_fault(status, headers)
    error = read_error_body(body)
    asked_s = retry_after_s(headers, now_unix)
    wait_s = error.wait_s if asked_s is None else asked_s
    kind, word = classify(status, error, asked_to_wait=asked_s is not None)
    if status == 404 and kind is ErrorKind.MODEL_NOT_FOUND and looks_like_html(body):
        kind = ErrorKind.UNEXPECTED_STATUS
    return Fault(
        kind=kind,
        message=_message(f"status {status}", word, error.message),
        status=status,
        code=word,
        retry_after_s=wait_s,
        should_retry=should_retry(headers),
        possibly_billed=status in _ANSWER_LOST_BY_GATEWAY,
    )


def error_fault(error: ErrorBody) -> Fault:
    """Return what an error means that stands in the body or the stream of a 200."""
    kind, word = classify(error.number, error, asked_to_wait=error.wait_s is not None)
    return Fault(
        kind=kind,
        message=_message("error in a 200", word, error.message),
        status=200,
        code=word,
        retry_after_s=error.wait_s,
        possibly_billed=kind not in _REFUSED_UNREAD,
    )


def error_fault_in(raw: bytes) -> Fault | None:
    """Return the fault if `raw` is the JSON of an error; None for all else."""
    try:
        value = parse_json(raw)
    except NotJSONError:
        return None
    return None if error_in(value) is None else error_fault(read_error_value(value))


def body_fault(body: bytes) -> Fault:
    """Return what the body of a 200 is that is not the answer that was asked for."""
    if not body.strip():
        return answer_fault(
            ErrorKind.TRUNCATED, "the answer ended before it began: the body is empty"
        )
    if looks_like_html(body):
        return answer_fault(
            ErrorKind.PROTOCOL_ERROR,
            f"{describe_text(body)} came in place of an answer: a proxy's, or base_url is wrong",
        )
    try:
        value = parse_json(body)
    except NotJSONError as error:
        kind = ErrorKind.TRUNCATED if error.cut else ErrorKind.PROTOCOL_ERROR
        return answer_fault(kind, f"{error}: {describe_text(body)}")
    if error_in(value) is not None:
        return error_fault(read_error_value(value))
    return answer_fault(
        ErrorKind.PROTOCOL_ERROR, f"the answer is not of the dialect's form: {describe_text(body)}"
    )


def decode_as(
    decoder: msgspec.json.Decoder[T], raw: bytes, *, spare: frozenset[str] = frozenset()
) -> T | Fault:
    """Return what `raw` says, leniently read, or the fault that it is instead.

    Args:
        decoder: For the type wanted; where speed counts, it is tried before this is called.
        raw: What a server sent.
        spare: Fields of the outermost object that are left out rather than lose the answer where
            they are not of their type.
    """
    try:
        return decoder.decode(raw)
    except BROKEN:
        pass
    try:
        value = parse_json(raw)
        try:
            return msgspec.convert(value, decoder.type)
        except msgspec.ValidationError:
            kept = {k: v for k, v in mapping_in(value).items() if k not in spare}
            return msgspec.convert(kept or value, decoder.type)
    except (ValueError, RecursionError):
        return body_fault(raw)


def answer_fault(kind: ErrorKind, message: str) -> Fault:
    """Return the fault that an answer is, though its status was 200: it may be billed."""
    return Fault(kind=kind, message=message, status=200, possibly_billed=True)


def classify(
    status: int | None, error: ErrorBody, *, asked_to_wait: bool
) -> tuple[ErrorKind, str | None]:
    """Return what an error means, and the provider's word that says so best.

    Args:
        status: The HTTP status; None where it was a 200, and the body names none.
        error: What the body says.
        asked_to_wait: Whether the response asks to come back later.
    """
    first = error.words[0] if error.words else None
    if error.quota_spent or error.flagged:
        return (ErrorKind.NO_CREDIT if error.quota_spent else ErrorKind.CONTENT_FILTERED), first
    for word in error.words:
        if kind := _DECISIVE.get(word.lower()):
            return kind, word
    if kind := _by_text(status, error.message, asked_to_wait=asked_to_wait):
        return kind, first
    if status is not None:
        fallback = ErrorKind.SERVER_ERROR if status >= 500 else ErrorKind.UNEXPECTED_STATUS
        return _BY_STATUS.get(status, fallback), first
    for word in error.words:
        if kind := _IN_A_200.get(word.lower()):
            return kind, word
    return ErrorKind.SERVER_ERROR, first


def _by_text(status: int | None, message: str, *, asked_to_wait: bool) -> ErrorKind | None:
    """Judge by the text, where a provider leaves nothing else to judge by."""
    kind: ErrorKind | None = None
    if _NO_MONEY.search(message):
        kind = ErrorKind.NO_CREDIT
    elif status in {404, 410}:
        if _MODEL.search(message):
            kind = ErrorKind.MODEL_NOT_FOUND
    elif status == 402:
        if asked_to_wait:
            # OpenRouter: the money is held by requests in flight.
            kind = ErrorKind.RATE_LIMITED
        elif "fewer max_tokens" in message:
            # OpenRouter: what is left pays for smaller requests.
            kind = ErrorKind.INVALID_REQUEST
    elif status == 429 and (found := _LARGER_THAN_BUCKET.search(message)):
        if int(found["asked"]) > int(found["limit"]):
            kind = ErrorKind.INVALID_REQUEST
    elif status == 429 and _NO_QUOTA.search(message):
        kind = ErrorKind.NO_CREDIT
    elif status in _MAY_BE_THE_PROMPTS_FAULT and _TOO_LONG.search(message):
        kind = ErrorKind.CONTEXT_TOO_LONG
    elif status == 400 and _UNKNOWN_MODEL.search(message):
        kind = ErrorKind.MODEL_NOT_FOUND
    return kind


def _redirect_fault(status: int, headers: Headers) -> Fault:
    location = headers.get(b"location") or ""
    _, separator, rest = location.partition("://")
    # The host alone: paths and queries of redirects hold tokens.
    host = re.split(r"[/?#]", rest)[0].rpartition("@")[2] if separator else ""
    where = f"to {quote(host)!r}" if host else "to another path"
    return Fault(
        kind=ErrorKind.UNEXPECTED_STATUS,
        message=f"status {status}: a redirect {where}, which is not followed: is base_url right?",
        status=status,
    )


def _message(place: str, word: str | None, text: str) -> str:
    said = quote(text) or "without a word of why"
    return f"{place}: {said}" if word is None or word in said else f"{place}, {word}: {said}"
