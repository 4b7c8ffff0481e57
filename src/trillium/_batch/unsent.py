"""The outcome of a request that was never sent."""

from __future__ import annotations

from trillium._call.route import Route
from trillium.completions import Failure
from trillium.errors import ErrorKind, NotSentError
from trillium.messages import Request


def unsent(
    index: int,
    request: Request,
    route: Route | None,
    reason: str,
    kind: ErrorKind = ErrorKind.NOT_SENT,
) -> Failure:
    """Return the failure of a request that was not sent, and why."""
    return Failure(
        id=request.id,
        index=index,
        model="" if route is None else route.model,
        endpoint="" if route is None else route.station.endpoint.name,
        error=NotSentError(reason, kind=kind, request_id=request.id),
    )
