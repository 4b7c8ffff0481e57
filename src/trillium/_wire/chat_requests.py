"""Requests in the form of OpenAI's chat completions: a JSON object becomes a `Request`.

Most of what people have in files is in this form, whatever provider it goes to. What our records
have no word for goes into `extra_body` as it is, if it is a parameter that OpenAI knows; anything
else is taken for a slip of the pen and refused, since a misspelt parameter would be paid for and
do nothing. A parameter that is null is one that is not there.

Source of the names: the type definitions of the package `openai` 3.57.0 (`types/chat`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, final

import attrs

from trillium._wire.chat_messages import read_messages
from trillium._wire.chat_tools import read_response_format, read_tool_choice, read_tools
from trillium._wire.strict_json import MAX_EXCERPT_CHARS, quote_value
from trillium.endpoints import Model
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request, check_choices, new_request

PASSED_ON: Final = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "modalities",
        "moderation",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "top_logprobs",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""OpenAI's parameters without a field of ours: sent as they are."""


def _values(defaults: Defaults) -> dict[str, Any]:
    return {
        "model": defaults.model,
        "temperature": defaults.temperature,
        "max_tokens": defaults.max_tokens,
    }


def _opening(defaults: Defaults) -> tuple[Message, ...]:
    if defaults.system is None:
        return ()
    return (Message("system", _read_text("the default system message", defaults.system)),)


@final
@attrs.frozen(kw_only=True)
class Defaults:
    """What a request takes where it says nothing itself.

    Raises:
        InvalidRequestError: A parameter of the wrong type or range.
    """

    system: str | None = None
    """Put before a conversation that has neither a system nor a developer message."""
    model: str | Model | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    values: Mapping[str, Any] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_values, takes_self=True)
    )
    """The parameters by name, ready to be overridden and given to `Request`."""
    opening: tuple[Message, ...] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_opening, takes_self=True)
    )
    """The system message, if any."""

    def __attrs_post_init__(self) -> None:
        Request("?", **self.values)


def make_request(
    messages: tuple[Message, ...],
    parameters: Mapping[str, Any],
    *,
    id: str | int | None,  # noqa: A002  # the field's name
    defaults: Defaults,
) -> Request:
    """Return the one request that a conversation, its parameters and the defaults make.

    Args:
        messages: The conversation; the default system message is put before it if need be.
        parameters: OpenAI's parameters by name, `messages` not among them.
        id: The request's id.
        defaults: For what is not in `parameters`.

    Raises:
        InvalidRequestError: A parameter is unknown, or of the wrong type or range.
    """
    if defaults.opening and not _has_system(messages):
        messages = defaults.opening + messages
    values = {**defaults.values, **_read_parameters(parameters)} if parameters else defaults.values
    return Request(messages, id=id, **values)


def make_plain_request(
    messages: tuple[Message, ...],
    *,
    id: str | int | None,  # noqa: A002  # the field's name
    defaults: Defaults,
) -> Request:
    """Return the request of a valid conversation with the default parameters."""
    if defaults.opening and not _has_system(messages):
        messages = defaults.opening + messages
    # The defaults were checked when they were made.
    return new_request(messages=messages, id=id, **defaults.values)


def read_body(body: Any, *, id: str | int | None, defaults: Defaults) -> Request:  # noqa: A002
    """Return the request that the body of a chat completion stands for.

    Raises:
        InvalidRequestError: It is no object, has no messages, or holds what cannot be sent.
    """
    if type(body) is not dict:
        raise InvalidRequestError(f"a body is an object, not {quote_value(body)}")
    if "messages" not in body:
        raise InvalidRequestError('no prompt: the body has no "messages"')
    parameters = {key: value for key, value in body.items() if key != "messages"}
    return make_request(read_messages(body["messages"]), parameters, id=id, defaults=defaults)


def _has_system(messages: tuple[Message, ...]) -> bool:
    return any(message.role in ("system", "developer") for message in messages)


def _read_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Request` that the parameters stand for."""
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in parameters.items():
        reader = _READERS.get(name)
        if reader is None and name not in PASSED_ON and name not in _TOGETHER:
            _refuse_unknown(name)
        if value is None:
            continue
        if reader is not None:
            values[name] = reader(name, value)
        elif name in PASSED_ON:
            extra[name] = value
    _check_single_and_whole(parameters)
    _read_bound(parameters, values)
    _read_records(parameters, values, extra)
    for name, value in _read_extra_body(parameters.get("extra_body")).items():
        if name in parameters:
            where = "beside and inside extra_body"
            raise InvalidRequestError(f"{quote_value(name)} is there twice: {where}")
        extra[name] = value
    if extra:
        values["extra_body"] = extra
    return values


def _refuse_unknown(name: str) -> NoReturn:
    close = difflib.get_close_matches(name[:MAX_EXCERPT_CHARS], _KNOWN, n=1)
    slip = f"did you mean {close[0]}? " if close else ""
    hint = f"{slip}What only your provider knows goes into extra_body"
    raise InvalidRequestError(f"unknown parameter {quote_value(name)}: {hint}")


def _check_single_and_whole(parameters: Mapping[str, Any]) -> None:
    if parameters.get("n") is not None:
        check_choices(_read_int("n", parameters["n"]))
    stream = parameters.get("stream")
    if stream is not None and stream is not False:
        raise InvalidRequestError("a batch gives whole answers: leave out stream")


def _read_bound(parameters: Mapping[str, Any], values: dict[str, Any]) -> None:
    """Take `max_completion_tokens`, OpenAI's newer name of `max_tokens`, for the same."""
    newer = parameters.get("max_completion_tokens")
    if newer is None:
        return
    bound = _read_int("max_completion_tokens", newer)
    if values.setdefault("max_tokens", bound) != bound:
        raise InvalidRequestError("max_tokens and max_completion_tokens differ: keep one of them")


def _read_records(
    parameters: Mapping[str, Any], values: dict[str, Any], extra: dict[str, Any]
) -> None:
    """Read what has a record of its own; a form that the record cannot hold is passed on."""
    records: dict[str, Any] = {}
    for name, as_record in _RECORDS.items():
        if parameters.get(name) is not None:
            records[name] = as_record(parameters[name])
    if records.get("tools", ()) is None and "tool_choice" in records:
        records["tool_choice"] = None  # tools that go as they are take the choice along
    for name, record in records.items():
        if record is None:
            extra[name] = parameters[name]
        else:
            values[name] = record


def _read_extra_body(extra: Any) -> Mapping[str, Any]:
    if extra is None:
        return {}
    if type(extra) is not dict:
        raise InvalidRequestError(f"extra_body is an object, not {quote_value(extra)}")
    for name in _NEVER_EXTRA:
        if name in extra:
            raise InvalidRequestError(f"{name} does not go into extra_body, but beside it")
    return extra


def _read_text(name: str, value: Any) -> str:
    if type(value) is not str or not value:
        raise InvalidRequestError(f"{name} is text that is not empty, not {quote_value(value)}")
    return value


def _read_int(name: str, value: Any) -> int:
    if type(value) is not int:
        raise InvalidRequestError(f"{name} is a whole number, not {quote_value(value)}")
    return value


def _read_number(name: str, value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise InvalidRequestError(f"{name} is a number, not {quote_value(value)}")
    return value


def _read_stop(name: str, value: Any) -> tuple[str, ...]:
    words = value if type(value) is list else [value]
    return tuple(_read_text(name, word) for word in words)


def _read_metadata(name: str, value: Any) -> Mapping[str, str]:
    if type(value) is not dict or not all(type(text) is str for text in value.values()):
        raise InvalidRequestError(f"{name} is an object of texts, not {quote_value(value)}")
    return value


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "model": _read_text,
    "temperature": _read_number,
    "max_tokens": _read_int,
    "top_p": _read_number,
    "stop": _read_stop,
    "seed": _read_int,
    "reasoning_effort": _read_text,
    "metadata": _read_metadata,
}
_RECORDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "tools": read_tools,
    "tool_choice": read_tool_choice,
    "response_format": read_response_format,
}
# `stream_options` says how to stream: nothing, where nothing is streamed.
_TOGETHER: Final = frozenset(
    {"extra_body", "max_completion_tokens", "n", "stream", "stream_options", *_RECORDS}
)
"""Read after the others, since they depend on one another."""
_KNOWN: Final = sorted(PASSED_ON | _TOGETHER | _READERS.keys())
_NEVER_EXTRA: Final = ("messages", "model", "n", "stream", "stream_options", "extra_body")
