"""How many tokens a request will take: bytes per token, learnt for each model.

Nobody but the provider counts tokens as the provider does. But the usages that come back say how
many bytes made a token in this model and this kind of text, and how long answers are. Sums are
kept, not single ratios, and old ones fade: what matters to a quota or a budget is the total, in
which the errors of single requests cancel.

The estimate of one request may be too low. A quota corrects it as the usage comes. Who needs a
bound (a budget) takes `input_tokens_at_most`: no tokenizer in use makes more tokens than bytes,
save for the few that frame each message.
"""

from __future__ import annotations

from typing import Final, final

import attrs

from trillium.messages import (
    ImagePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    ToolCall,
)

FIRST_BYTES_PER_TOKEN: Final = 3.0
"""Until the first usage is in. English has 4 and more, code 3, many other scripts 2 to 3."""
FIRST_OUTPUT_TOKENS: Final = 512.0
"""Until the first answer is in, of a request without `max_tokens`."""
MESSAGE_TOKENS: Final = 8
"""What frames a message: a role and its marks are 3 to 7 tokens in the known templates."""
IMAGE_TOKENS: Final = 1600
"""An image of the usual size takes 85 to 1,600, by provider and detail."""
MEMORY: Final = 200.0
"""How many requests a sum remembers, about: it then forgets as much as comes."""


@final
@attrs.define(eq=False, repr=False)
class TokenEstimate:
    """What is known of one model's tokens."""

    _bytes: float = 0.0
    _input: float = 0.0
    _output: float = 0.0
    _outputs: float = 0.0
    bytes_per_token: float = attrs.field(default=FIRST_BYTES_PER_TOKEN, init=False)
    output_tokens: float = attrs.field(default=FIRST_OUTPUT_TOKENS, init=False)
    """How long an answer is on average, in tokens."""

    def input_tokens(self, size: RequestSize) -> float:
        """Return how many tokens a prompt will have, about."""
        return size.text_bytes / self.bytes_per_token + size.other_tokens

    @staticmethod
    def input_tokens_at_most(size: RequestSize) -> int:
        """Return a number of tokens that no tokenizer in use exceeds for the prompt's text."""
        return size.text_bytes + size.messages * MESSAGE_TOKENS + size.images * IMAGE_TOKENS

    def learn(self, size: RequestSize, input_tokens: int, output_tokens: int) -> None:
        """Take in the usage of an answer."""
        fade = 1.0 - 1.0 / MEMORY
        counted = input_tokens - size.images * IMAGE_TOKENS
        if counted > 0 and size.text_bytes > 0:
            self._bytes = self._bytes * fade + size.text_bytes
            self._input = self._input * fade + counted
            self.bytes_per_token = self._bytes / self._input
        if output_tokens > 0:
            self._output = self._output * fade + output_tokens
            self._outputs = self._outputs * fade + 1.0
            self.output_tokens = self._output / self._outputs


@final
@attrs.define(eq=False)  # one is made for each request, and frozen ones cost three times as much
class RequestSize:
    """What of a request says how many tokens it takes."""

    text_bytes: int
    """Of all its text, tools and schemas, in UTF-8."""
    messages: int
    images: int
    max_tokens: int | None

    @property
    def other_tokens(self) -> int:
        """Tokens that are not made of text. What frames messages is learnt with the text."""
        return self.images * IMAGE_TOKENS


def size_of(request: Request) -> RequestSize:
    """Measure a request. A plain prompt costs under a microsecond."""
    size = images = 0
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            size += _bytes_in(content)
        else:
            size += sum(map(_part_bytes, content))
            images += sum(isinstance(part, ImagePart) for part in content)
    if request.tools or request.response_format is not None:
        size += _extra_bytes(request)
    return RequestSize(size, len(request.messages), images, request.max_tokens)


def _bytes_in(text: str) -> int:
    # To ask whether it is ASCII costs nothing: Python knows.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _part_bytes(part: Part) -> int:
    match part:
        case TextPart() | RefusalPart():
            return _bytes_in(part.text)
        case ReasoningPart():
            return _bytes_in(part.text) + len(part.redacted or "")
        case ToolCall():
            return _bytes_in(part.name) + _bytes_in(part.arguments)
        case ImagePart():
            return 0
        case _:
            return _bytes_in(str(part.fields))


def _extra_bytes(request: Request) -> int:
    tools = sum(
        _bytes_in(tool.name) + _bytes_in(tool.description or "") + len(str(tool.parameters or ""))
        for tool in request.tools or ()
    )
    form = request.response_format
    return tools + (0 if form is None else len(str(form)))
