"""Anthropic's Messages.

Settings of an endpoint: `version` is the `anthropic-version` that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final
from urllib.parse import quote

import attrs

from trillium._wire.anthropic_answers import decode_answer_body
from trillium._wire.anthropic_requests import encode_request, version_of
from trillium._wire.anthropic_stream import MessagesAssembler
from trillium._wire.dialect import Dialect
from trillium._wire.fault_rules import status_fault
from trillium._wire.headers import Headers
from trillium._wire.listed_models import read_listed_models
from trillium.completions import Answer
from trillium.endpoints import Endpoint
from trillium.errors import Fault
from trillium.messages import Request


@final
@attrs.frozen
class Anthropic:
    """The dialect; see `Dialect` for its methods."""

    flush_last_event: bool = True
    """A gateway may close right after the line of `message_stop`."""

    def path(self, *, model: str, stream: bool) -> str:  # noqa: ARG002  # Dialect's
        """Return the path below the base URL that requests are posted to."""
        return "/messages"

    def headers(self, endpoint: Endpoint) -> list[tuple[str, str]]:
        """Return the key and the version, which is required."""
        version = [("anthropic-version", version_of(endpoint))]
        if endpoint.key is None:
            return version
        return [("x-api-key", endpoint.key.reveal()), *version]

    def encode(self, request: Request, *, model: str, stream: bool, endpoint: Endpoint) -> bytes:
        """Return the JSON body.

        Raises:
            InvalidRequestError: The request holds what this dialect cannot say, or there is no
                bound on the output, which it demands.
        """
        return encode_request(request, model=model, stream=stream, endpoint=endpoint)

    def decode(self, body: bytes) -> Answer | Fault:
        """Read the body of a 200."""
        return decode_answer_body(body)

    def assembler(self) -> MessagesAssembler:
        """Return the machine that puts one streamed answer together."""
        return MessagesAssembler()

    def fault(self, status: int, headers: Headers, body: bytes, *, now_unix: float) -> Fault:
        """Read an answer whose status is an error."""
        return status_fault(status, headers, body, now_unix=now_unix)

    def models_path(self, *, model: str | None) -> str:
        """Return the path of one model (an alias will do), or of the list of all."""
        return "/models?limit=1000" if model is None else f"/models/{quote(model, safe='')}"

    def listed_models(self, body: bytes) -> Sequence[str] | Fault:
        """Read the names of the models from what `models_path` answers."""
        return read_listed_models(body)


DIALECT: Final[Dialect] = Anthropic()
