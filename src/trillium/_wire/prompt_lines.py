"""Lines of an input file: what each stands for, and why it may not be sent.

Three forms of a JSON line, told apart by their keys:

```json
{"id": "1", "prompt": "Why is the sky blue?", "temperature": 0}
{"id": 2, "messages": [{"role": "user", "content": "Hello"}], "model": "gpt-4.1"}
{"custom_id": "3", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [...]}}
```

The last is OpenAI's batch format (Mistral's has neither method nor url, and passes too). In a
text file a line is a prompt. Parameters have OpenAI's names, see `chat_requests`.
An id is opaque: text or a whole number, `"1"` and `1` being two. A line may have none.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final

from trillium._wire.chat_messages import read_messages
from trillium._wire.chat_requests import (
    Defaults,
    make_plain_request,
    make_request,
    read_body,
)
from trillium._wire.plain_prompt_lines import plain_line
from trillium._wire.strict_json import decode_strictly, decode_text, quote_value
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request

CHAT_URL: Final = "/v1/chat/completions"
"""The one address of OpenAI's batch format that is served."""

_BATCH_FIELDS: Final = ("custom_id", "method", "url", "body")
_EXAMPLE: Final = '{"id": "1", "prompt": "..."}'


def parse_json_line(line: bytes, defaults: Defaults) -> Request:
    """Return the request that a JSON line stands for; its id is None if the line has none.

    Args:
        line: One line, with or without its end.
        defaults: For what the line does not say.

    Raises:
        InvalidRequestError: It stands for none; the message is short and says what to change.
    """
    plain = plain_line(line)
    if plain is not None:
        return make_plain_request(plain[1], id=plain[0], defaults=defaults)
    fields = decode_strictly(line)
    if type(fields) is not dict:
        what = quote_value(fields)
        raise InvalidRequestError(f"a line is an object such as {_EXAMPLE}, not {what}")
    if "custom_id" in fields or "body" in fields:
        return _read_batch_line(fields, defaults)
    id_ = _take_id(fields, "id")
    if "prompt" not in fields:
        if "messages" not in fields:
            slip = _slip(fields)
            raise InvalidRequestError(f'no prompt: a line has "prompt" or "messages"{slip}')
        messages = read_messages(fields.pop("messages"))
        return make_request(messages, fields, id=id_, defaults=defaults)
    if "messages" in fields:
        raise InvalidRequestError('a line has either "prompt" or "messages", not both')
    prompt = fields.pop("prompt")
    if type(prompt) is not str or not prompt:
        raise InvalidRequestError(f"a prompt is text that is not empty, not {quote_value(prompt)}")
    return make_request((Message("user", prompt),), fields, id=id_, defaults=defaults)


def parse_text_line(line: bytes, defaults: Defaults) -> Request:
    """Return the request that a line of a text file stands for: the line is the prompt.

    Args:
        line: One line; its end (LF or CRLF) is no part of the prompt, all other space is.
        defaults: For all but the prompt.

    Raises:
        InvalidRequestError: It is not UTF-8.
    """
    prompt = decode_text(line.removesuffix(b"\n").removesuffix(b"\r"))
    return make_request((Message("user", prompt),), {}, id=None, defaults=defaults)


def _read_batch_line(fields: dict[str, Any], defaults: Defaults) -> Request:
    id_ = _take_id(fields, "custom_id")
    method = fields.pop("method", "POST")
    if method != "POST":
        raise InvalidRequestError(f'method is "POST", not {quote_value(method)}')
    url = fields.pop("url", CHAT_URL)
    if url != CHAT_URL:
        raise InvalidRequestError(
            f'url is "{CHAT_URL}", not {quote_value(url)}: no other is served, and the host is '
            "not the file's to choose"
        )
    if "body" not in fields:
        raise InvalidRequestError('no prompt: a line with "custom_id" has a "body"')
    body = fields.pop("body")
    for name in fields:
        place = ", ".join(_BATCH_FIELDS)
        raise InvalidRequestError(f"unknown field {quote_value(name)}: a batch line has {place}")
    return read_body(body, id=id_, defaults=defaults)


def _take_id(fields: dict[str, Any], name: str) -> str | int | None:
    if name not in fields:
        return None
    id_ = fields.pop(name)
    if type(id_) is str or type(id_) is int:
        return id_
    raise InvalidRequestError(
        f"an id is text or a whole number, not {quote_value(id_)}: give one, or leave {name} out"
    )


def _slip(fields: Mapping[str, Any]) -> str:
    for wanted in ("prompt", "messages"):
        if close := difflib.get_close_matches(wanted, fields, n=1):
            return f"; is {quote_value(close[0])} a slip for {wanted}?"
    return ""
