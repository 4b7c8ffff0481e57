"""The JSON of a request's body: what it says in bytes, the same bytes each time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trillium.errors import InvalidRequestError


def _as_plain(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no kind of JSON value")


_encoder: Final = msgspec.json.Encoder(enc_hook=_as_plain)


def encode_json(value: object) -> bytes:
    """Return the JSON of what a request says.

    Keys stay in their order: a model reads them in it, in the schema of a tool.

    Raises:
        InvalidRequestError: Something in it has no JSON form.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        msg = "a text holds half of a surrogate pair, which no JSON can say"
        raise InvalidRequestError(msg) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequestError(f"a value has no JSON form: {error}") from None


def refuse_not_finite(name: str, value: object) -> None:
    """Refuse NaN and infinities anywhere in `value`, which would silently be sent as null.

    Raises:
        InvalidRequestError: There is one; `name` tells the user where.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidRequestError(f"{name} holds {value!r}, which no JSON can say")
    elif isinstance(value, Mapping):
        for item in value.values():
            refuse_not_finite(name, item)
    elif isinstance(value, list | tuple):
        for item in value:
            refuse_not_finite(name, item)


def with_extra_body(body: dict[str, Any], extra_body: Mapping[str, Any]) -> dict[str, Any]:
    """Return `body` with what a provider adds, which goes before what stands there.

    Raises:
        InvalidRequestError: It says `stream`, which decides how the answer is read, or holds a
            number that JSON cannot say.
    """
    if not extra_body:
        return body
    if "stream" in extra_body:
        raise InvalidRequestError("stream does not belong into extra_body: use client.stream")
    refuse_not_finite("extra_body", extra_body)
    return {**body, **extra_body}
