"""What tells requests apart by all that is sent, so that equal ones need be asked but once.

The key is no part of it: what is answered does not depend on who pays, and keys change.
"""

from __future__ import annotations

import hashlib
from typing import Final, final

from trillium._wire.dialect import Dialect
from trillium.endpoints import Endpoint
from trillium.messages import Request

DIGEST_BYTES: Final = 32
SHORT_HEX: Final = 16
"""Of the digest in a journal: that of a million requests two different ones have the same happens
with a chance of 3 in 10^8."""
CREDENTIALS: Final = frozenset({"api-key", "authorization", "cookie", "x-api-key"})
"""Headers, in lower case, that say who asks."""


@final
class Fingerprint:
    """Makes the digests of requests to one model: address, the user's own headers, and body."""

    __slots__ = ("_beginning", "_dialect", "_endpoint", "_model")

    def __init__(self, dialect: Dialect, endpoint: Endpoint, *, model: str) -> None:
        """Begin with what is the same for all requests to a model."""
        self._dialect = dialect
        self._endpoint = endpoint
        self._model = model
        path = dialect.path(model=model, stream=False)
        pieces = [endpoint.base_url, path]
        for name, value in sorted({**endpoint.headers, **endpoint.settings}.items()):
            if name.lower() not in CREDENTIALS:
                pieces += [name, value]
        self._beginning = hashlib.blake2b(
            b"".join(piece.encode() + b"\0" for piece in pieces), digest_size=DIGEST_BYTES
        )

    def digest(self, request: Request) -> bytes:
        """Return the digest of a request; whether its answer is streamed makes no difference.

        Raises:
            InvalidRequestError: The dialect or the endpoint cannot say what the request wants.
        """
        return self.digest_of(
            self._dialect.encode(request, model=self._model, stream=False, endpoint=self._endpoint)
        )

    def digest_of(self, body: bytes) -> bytes:
        """Return the digest of the request that has this body if its answer is not streamed."""
        digest = self._beginning.copy()
        digest.update(body)
        return digest.digest()
