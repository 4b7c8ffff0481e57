"""OpenAI's Chat Completions, and the servers that imitate it.

Settings of an endpoint: `reasoning_field` names the field of an assistant message in which the
server wants its earlier thoughts back (`reasoning_content`); without it they are left out, since
OpenAI refuses a message that has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final
from urllib.parse import quote

import attrs

from trillium._wire.dialect import Dialect
from trillium._wire.fault_rules import status_fault
from trillium._wire.headers import Headers
from trillium._wire.listed_models import read_listed_models
from trillium._wire.openai_answers import decode_answer_body
from trillium._wire.openai_requests import encode_request
from trillium._wire.openai_stream import ChatAssembler
from trillium.completions import Answer
from trillium.endpoints import Endpoint
from trillium.errors import Fault
from trillium.messages import Request


@final
@attrs.frozen
class OpenAIChat:
    """The dialect; see `Dialect` for its methods."""

    flush_last_event: bool = True
    """Gateways close right after the last `data:` line (openai-node issue 2725)."""

    def path(self, *, model: str, stream: bool) -> str:  # noqa: ARG002  # Dialect's
        """Return the path below the base URL that requests are posted to."""
        return "/chat/completions"

    def headers(self, endpoint: Endpoint) -> list[tuple[str, str]]:
        """Return the key as a bearer token; nothing where there is no key (local servers)."""
        if endpoint.key is None:
            return []
        return [("Authorization", f"Bearer {endpoint.key.reveal()}")]

    def encode(self, request: Request, *, model: str, stream: bool, endpoint: Endpoint) -> bytes:
        """Return the JSON body.

        Raises:
            InvalidRequestError: The request holds what this dialect cannot say.
        """
        return encode_request(request, model=model, stream=stream, endpoint=endpoint)

    def decode(self, body: bytes) -> Answer | Fault:
        """Read the body of a 200."""
        return decode_answer_body(body)

    def assembler(self) -> ChatAssembler:
        """Return the machine that puts one streamed answer together."""
        return ChatAssembler()

    def fault(self, status: int, headers: Headers, body: bytes, *, now_unix: float) -> Fault:
        """Read an answer whose status is an error."""
        return status_fault(status, headers, body, now_unix=now_unix)

    def models_path(self, *, model: str | None) -> str:
        """Return the path of the list of all models, or of one, which few imitators have."""
        return "/models" if model is None else f"/models/{quote(model, safe='')}"

    def listed_models(self, body: bytes) -> Sequence[str] | Fault:
        """Read the names of the models from what `models_path` answers."""
        return read_listed_models(body)


DIALECT: Final[Dialect] = OpenAIChat()
