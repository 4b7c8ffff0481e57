"""Digests of requests, with what is the same for a route worked out once."""

from __future__ import annotations

from typing import final

from trillium._call.route import Route
from trillium._wire.fingerprint import SHORT_HEX, Fingerprint
from trillium.errors import InvalidRequestError
from trillium.messages import Request


@final
class Fingerprints:
    """Makes the digests of the requests of one batch."""

    __slots__ = ("_of_routes",)

    def __init__(self) -> None:
        self._of_routes: dict[Route, Fingerprint] = {}

    def digest(self, request: Request, route: Route, body: bytes = b"") -> bytes | None:
        """Return what tells a request from others; None if it cannot be sent.

        Args:
            request: It.
            route: Where it goes.
            body: What is sent there if its answer is not streamed; empty to have it made.
        """
        fingerprint = self._of_routes.get(route)
        if fingerprint is None:
            station = route.station
            fingerprint = Fingerprint(station.dialect, station.endpoint, model=route.model)
            self._of_routes[route] = fingerprint
        try:
            return fingerprint.digest_of(body) if body else fingerprint.digest(request)
        except InvalidRequestError:
            return None

    def short(self, request: Request | None, route: Route | None, body: bytes = b"") -> str | None:
        """Return so much of the digest, in hexadecimal, as stands in a journal's line."""
        digest = None if request is None or route is None else self.digest(request, route, body)
        return None if digest is None else digest.hex()[:SHORT_HEX]
