"""A prompt made of a row: `Translate: {text}` takes what a table has in its column `text`.

A row is a JSON object, wherever it came from: a line, or a row of a CSV or Parquet file. Its `id`
is the request's id; without a template its `prompt` is the prompt. Columns that no template
names are left alone.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Final, final

import msgspec

from trillium._wire.chat_requests import Defaults, make_request
from trillium._wire.strict_json import decode_strictly, quote_value
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request

ID: Final = "id"
PROMPT: Final = "prompt"


@final
class PromptTemplate:
    """Text with names of columns in braces; `{{` and `}}` are the braces themselves."""

    def __init__(self, text: str) -> None:
        """Read the template.

        Raises:
            InvalidRequestError: It names no column, or holds more in braces than a name.
        """
        self.text = text
        self._pieces: list[tuple[str, str | None]] = []
        try:
            for literal, name, spec, conversion in string.Formatter().parse(text):
                if name is not None and (not name or spec or conversion):
                    raise InvalidRequestError(
                        f"the prompt {quote_value(text)} has more or less than the name of a "
                        "column in braces: write {{ and }} for braces"
                    )
                self._pieces.append((literal, name))
        except ValueError as error:
            message = f"the prompt {quote_value(text)}: {error} (write {{{{ and }}}} for braces)"
            raise InvalidRequestError(message) from None
        if not self.columns:
            message = f"the prompt {quote_value(text)} names no column, such as {{text}}"
            raise InvalidRequestError(message)

    @property
    def columns(self) -> list[str]:
        """The columns that it names, each once."""
        return list(dict.fromkeys(name for _, name in self._pieces if name is not None))

    def fill(self, row: Mapping[str, Any]) -> str:
        """Return the prompt of a row.

        Raises:
            InvalidRequestError: The row lacks a column, or has nothing in it.
        """
        pieces = []
        for literal, name in self._pieces:
            pieces.append(literal)
            if name is not None:
                pieces.append(_text(row, name))
        return "".join(pieces)


def parse_row(line: bytes, defaults: Defaults, template: PromptTemplate | None) -> Request:
    """Return the request that a row stands for.

    Args:
        line: A JSON object.
        defaults: For all but the prompt.
        template: Makes the prompt; without it that is the column `prompt`.

    Raises:
        InvalidRequestError: It stands for none.
    """
    row = decode_strictly(line)
    if type(row) is not dict:
        raise InvalidRequestError(f"a row is an object, not {quote_value(row)}")
    prompt = _text(row, PROMPT) if template is None else template.fill(row)
    if not prompt:
        raise InvalidRequestError("the prompt is empty")
    id_ = row.get(ID)
    if id_ is not None and type(id_) is not str and type(id_) is not int:
        raise InvalidRequestError(f"an id is text or a whole number, not {quote_value(id_)}")
    return make_request((Message("user", prompt),), {}, id=id_, defaults=defaults)


def _text(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        there = ", ".join(list(row)[:10]) or "none"
        hint = "" if name != PROMPT else "; say what to make of them with --prompt"
        raise InvalidRequestError(f"no column {quote_value(name)}: there are {there}{hint}")
    value = row[name]
    if value is None:
        raise InvalidRequestError(f"nothing stands in the column {quote_value(name)}")
    return value if type(value) is str else msgspec.json.encode(value).decode()
