"""Reading JSON bodies into records, with errors in the words that providers use."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from trillium.simulator.words import Problem, Reason

T = TypeVar("T")

_PARAM: Final = re.compile(r" - at `\$\.?(.+)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(.+?)`")


class Part(msgspec.Struct):
    """A part of a message; only texts and images are looked at."""

    type: str
    text: str | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is an image in either dialect."""
        return self.type in ("image", "image_url")


Content = str | list[Part] | None
IMAGE_TOKENS: Final = 85
"""What an image of low detail counts at OpenAI, whatever its size."""


def text_of(content: Content) -> str:
    """Return the text of a message's content."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if part.text is not None)


def image_tokens(content: Content) -> int:
    """Return the input tokens of the images of a message's content."""
    if content is None or isinstance(content, str):
        return 0
    return IMAGE_TOKENS * sum(part.is_image for part in content)


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T | Problem:
    """Decode a body, or say what is wrong with it."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        return _invalid(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"We could not parse the JSON body of your request: {error}."
        return Problem(reason=Reason.INVALID_JSON, message=message)


def _invalid(message: str) -> Problem:
    place = _PARAM.search(message)
    param = place[1] if place else None
    if missing := _MISSING.match(message):
        param = missing[1] if param is None else f"{param}.{missing[1]}"
        message = f"Missing required parameter: '{param}'."
    return Problem(reason=Reason.INVALID_REQUEST, message=message, param=param)
