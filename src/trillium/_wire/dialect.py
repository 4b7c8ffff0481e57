"""What a wire format must be able to do, and how one is found by its name.

A dialect is one file in `dialects/` that binds `DIALECT`; its name is the file's name, with
`-` for `_`. Nothing else must change to have another one.

Decisions come back as values: an `Answer` is what was asked for, a `Fault` says why it is not
there. No dialect raises for what a server sent.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from typing import Final, Protocol

from trillium._wire import dialects as folder
from trillium._wire.headers import Headers
from trillium._wire.sse import ServerSentEvent
from trillium.completions import Answer, Chunk
from trillium.endpoints import Endpoint
from trillium.errors import Fault, InvalidRequestError
from trillium.messages import Request

SHORT_NAMES: Final = {"openai": "openai-chat"}
"""What people type for the format that most servers speak."""


class Assembler(Protocol):
    """Puts one streamed answer together from the events of its stream."""

    @property
    def finished(self) -> bool:
        """Whether the format's own end has been seen: nothing that counts comes after it."""

    def add(self, events: Sequence[ServerSentEvent]) -> Chunk | Fault | None:
        """Take the events that one read of the socket brought.

        Returns:
            What they bring of the answer as one chunk; None if that is nothing to show; or the
            fault that one of them reports or is. Nothing is fed after a fault.
        """

    def close(self) -> Answer | Fault:
        """Return the answer at the end of the stream, or the fault that it was cut."""

    def partial_text(self) -> str:
        """Return the text that has come so far."""


class Dialect(Protocol):
    """A wire format: requests into bytes, bytes into answers, chunks and faults."""

    @property
    def flush_last_event(self) -> bool:
        """Whether an event that the stream's end leaves unterminated is taken if it is whole."""

    def path(self, *, model: str, stream: bool) -> str:
        """Return the path below the base URL that requests are posted to."""

    def headers(self, endpoint: Endpoint) -> list[tuple[str, str]]:
        """Return the headers that authenticate and select a version. They hold the key."""

    def encode(self, request: Request, *, model: str, stream: bool, endpoint: Endpoint) -> bytes:
        """Return the JSON body; the same request gives the same bytes.

        Raises:
            InvalidRequestError: The dialect or the endpoint cannot say what the request wants.
        """

    def decode(self, body: bytes) -> Answer | Fault:
        """Read the body of a 200, which may be an error all the same."""

    def assembler(self) -> Assembler:
        """Return the machine that puts one streamed answer together."""

    def fault(self, status: int, headers: Headers, body: bytes, *, now_unix: float) -> Fault:
        """Read an answer whose status is an error.

        Args:
            status: The HTTP status, not 200.
            headers: The response's headers.
            body: The body, as far as it was read; it may be anything.
            now_unix: Seconds since 1970, for a `Retry-After` that is a date, where the response
                has no `Date` of its own.
        """

    def models_path(self, *, model: str | None) -> str:
        """Return the path, below the base URL, of a GET that tells of one model or of all.

        It costs nothing at the providers, and so serves to verify a key.
        """

    def listed_models(self, body: bytes) -> Sequence[str] | Fault:
        """Read the names of the models from the 200 that `models_path` answers.

        Where that asked for one model, the answer may give another name than was asked for (an
        alias, resolved): that there is a 200 already says that the model is there.
        """


def dialects() -> list[str]:
    """Return the names of the dialects that are there, in order."""
    return sorted(entry.name.replace("_", "-") for entry in pkgutil.iter_modules(folder.__path__))


@functools.cache
def dialect_named(name: str) -> Dialect:
    """Return the dialect of a name.

    Raises:
        InvalidRequestError: There is no such dialect.
    """
    known = dialects()
    full = SHORT_NAMES.get(name, name)
    if full not in known:
        msg = f"unknown dialect {name!r}: one of {', '.join(known)}"
        raise InvalidRequestError(msg)
    module = importlib.import_module(f"{folder.__name__}.{full.replace('-', '_')}")
    dialect: Dialect = module.DIALECT
    return dialect
