"""What a server says of an error, whatever form it has: read here, judged in `fault_rules`.

Forms met, November 2026: OpenAI's `{"error": {message, type, param, code}}`, its imitators'
`{"error": "text"}` (LM Studio, Ollama) and `{"object": "error", "message"}` (older vLLM, Mistral),
Anthropic's `{"type": "error", "error": {type, message, details}}`, Google's
`{"error": {code, message, status, details: [google.rpc...]}}` also in a list of one, FastAPI's
`{"detail": [{loc, msg}]}`, each of them as an SSE `data:` line too; pages of HTML, and plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, final

import attrs

from trillium._wire.json_text import NotJSONError, json_of, list_in, mapping_in, parse_json, text_in
from trillium.errors import quote

MAX_READ_CHARS: Final = 4000
"""How much of a text is looked at; what matters stands at the beginning."""

_TITLE: Final = re.compile(r"<(?:title|h1)[^<>]{0,200}>([^<]{1,300})", re.IGNORECASE)
_DURATION: Final = re.compile(
    r"(\d{1,9}(?:\.\d{1,12})?)(h|ms|us|µs|ns|m|s)(?![a-z])", re.IGNORECASE
)
_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_ASKED_WAIT: Final = re.compile(
    r"(?:try again|retry) in ((?:\d{1,9}(?:\.\d{1,12})?(?:h|ms|us|µs|ns|m|s))+)", re.IGNORECASE
)
_ENVELOPES: Final = ("error", "detail", "errors", "message")


@final
@attrs.frozen(kw_only=True)
class ErrorBody:
    """What a server said of an error."""

    message: str = ""
    """On one line; empty if it said nothing."""
    words: tuple[str, ...] = ()
    """Its words for the kind of error, as they came, the most specific first."""
    number: int | None = None
    """An HTTP status that stands in the body."""
    wait_s: float | None = None
    """Seconds it asks to wait, in the body."""
    quota_spent: bool = False
    """A quota per day, or one of zero, is what was passed: waiting does not help for now."""
    flagged: bool = False
    """A moderation's reasons stand beside the message."""


def error_in(value: object) -> object | None:
    """Return what stands for an error in a whole JSON value; None if it is no error.

    For the bodies and events of a 200, where only what says so is an error.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    if value.get("error") or value.get("object") == "error" or value.get("type") == "error":
        return value
    return None


def read_error_value(value: object) -> ErrorBody:
    """Read a JSON value that is known to tell of an error."""
    if isinstance(value, list) and value:
        value = value[0]
    outer = mapping_in(value)
    inner: object = value
    for name in _ENVELOPES:
        if outer.get(name) and isinstance(outer[name], str | dict | list):
            inner = outer[name]
            break
    if isinstance(inner, list) and inner:
        inner = _first_detail(inner[0])
    if isinstance(inner, dict):
        return _read_error_object(inner)
    message = _one_line(inner if isinstance(inner, str) else json_of(inner))
    words = tuple(_words_of(outer))
    return ErrorBody(
        message=message, words=words, number=_status_in(outer), wait_s=asked_wait_s(message)
    )


def read_error_body(body: bytes) -> ErrorBody:
    """Read the body of a response that is known to tell of an error; it may be anything."""
    for text in _json_texts(body):
        try:
            value = parse_json(text)
        except NotJSONError:
            continue
        if isinstance(value, dict | list) and value:
            return read_error_value(value)
    message = describe_text(body)
    return ErrorBody(message=message, wait_s=asked_wait_s(message))


def looks_like_html(body: bytes) -> bool:
    """Whether a body is a page, of a proxy most likely."""
    return body.lstrip()[:1] == b"<"


def describe_text(body: bytes) -> str:
    """Return a body that is no JSON on one short line; of a page its title alone."""
    text = body[: 4 * MAX_READ_CHARS].decode("utf-8", "replace")[:MAX_READ_CHARS]
    if not looks_like_html(body):
        return quote(_one_line(text))
    title = _TITLE.search(text)
    if title is None:
        return "an HTML page"
    # Here, since its table of entities is 2 ms of every start, and pages are met seldom.
    from html import unescape  # noqa: PLC0415

    return f"an HTML page, {quote(_one_line(unescape(title[1])))!r}"


def asked_wait_s(text: str) -> float | None:
    """Return the seconds of a `try again in 6m0s` or `retry in 10h17m5.7s` in a message."""
    asked = _ASKED_WAIT.search(text)
    return None if asked is None else duration_s(asked[1])


def duration_s(text: str) -> float:
    """Return the seconds of a duration as Go and protobuf write it: `1h2m3.5s`, `34.07s`, `6ms`."""
    return sum(float(number) * _UNIT_S[unit.lower()] for number, unit in _DURATION.findall(text))


def _json_texts(body: bytes) -> Iterator[bytes]:
    """What of a body may be JSON: the whole of it, and the data of an event stream's lines."""
    yield body
    if b"data:" in body:
        for line in body[: 4 * MAX_READ_CHARS].splitlines():
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:")


def _read_error_object(error: Mapping[str, object]) -> ErrorBody:
    message = error.get("message") or error.get("msg") or error.get("detail") or ""
    text = _one_line(message if isinstance(message, str) else json_of(message))
    metadata = mapping_in(error.get("metadata"))
    if raw := text_in(metadata.get("raw")):
        # OpenRouter's own message is "Provider returned error"; the provider's stands here.
        text = f"{text}: {_one_line(raw)}"
    text = text or _one_line(json_of(error))
    details = [mapping_in(detail) for detail in list_in(error.get("details"))]
    quotas = [
        mapping_in(violation)
        for detail in details
        for violation in list_in(detail.get("violations"))
    ]
    delays = [delay for detail in details if (delay := text_in(detail.get("retryDelay")))]
    return ErrorBody(
        message=text,
        words=(*_words_of(error), *filter(None, (text_in(metadata.get("limit_source")),))),
        number=_status_in(error),
        wait_s=duration_s(delays[0]) if delays else asked_wait_s(text),
        quota_spent=any(
            "PerDay" in text_in(quota.get("quotaId")) or quota.get("quotaValue") in ("0", 0)
            for quota in quotas
        ),
        flagged=bool(metadata.get("reasons") or metadata.get("flagged_input")),
    )


def _words_of(error: Mapping[str, object]) -> Iterator[str]:
    """The words for the kind of error in an error object, the most specific first."""
    details = error.get("details")
    candidates = [
        mapping_in(details).get("error_code"),
        *(mapping_in(detail).get("reason") for detail in list_in(details)),
        mapping_in(error.get("innererror")).get("code"),
        error.get("code"),
        error.get("type"),
        error.get("status"),
    ]
    for word in candidates:
        if isinstance(word, str) and word and not word.isdigit() and word != "error":
            yield quote(_one_line(word))


def _status_in(error: Mapping[str, object]) -> int | None:
    for name in ("code", "status", "status_code"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None


def _first_detail(detail: object) -> object:
    """FastAPI's `{"loc": ["body", "top_p"], "msg": ...}` as a message, anything else as it is."""
    fields = mapping_in(detail)
    place = ".".join(str(step) for step in list_in(fields.get("loc")))
    if place and isinstance(fields.get("msg"), str):
        return f"{place}: {fields['msg']}"
    return detail


def _one_line(text: str) -> str:
    """What is shown on a terminal later must not be able to steer it."""
    line = " ".join(text[:MAX_READ_CHARS].split())
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)
