"""What is told of a call that brought no answer."""

from __future__ import annotations

from decimal import Decimal

from trillium._call.attempt import Attempt
from trillium._call.route import Route
from trillium._policy.retry import GiveUp, Retry
from trillium._wire.rate_limit_headers import rate_limit_fields
from trillium.completions import Failure
from trillium.errors import ERROR_CLASSES, ErrorKind, InvalidRequestError, NotSentError
from trillium.messages import Request


def failure_of(
    end: GiveUp,
    route: Route,
    request: Request,
    index: int,
    *,
    retry: Retry,
    attempt: Attempt | None,
    possibly_billed_usd: Decimal | None,
    now: float,
) -> Failure:
    """Return the failure of a call that was given up.

    Args:
        end: Why it was.
        route: Where it went.
        request: What was asked.
        index: Of the request.
        retry: The call's history.
        attempt: The last one, if there was any.
        possibly_billed_usd: What abandoned attempts cost at most; None if that is not known.
        now: The time.
    """
    fault = end.fault
    elapsed_s = None if retry.started_at is None else now - retry.started_at
    headers = None if attempt is None else attempt.headers
    endpoint = route.station.endpoint.name
    what = fault.message
    if end.why != what:
        what = f"{what.removesuffix('.')}; {end.why}"
    error = ERROR_CLASSES[fault.kind](
        f"{endpoint}: {what}",
        kind=fault.kind,
        request_id=request.id,
        attempts=retry.attempts,
        abandoned=retry.abandoned,
        elapsed_s=elapsed_s,
        status=fault.status,
        code=fault.code,
        retry_after_s=fault.retry_after_s,
        seconds=fault.seconds,
        partial_text="" if attempt is None else attempt.partial_text(),
        possibly_billed_usd=possibly_billed_usd,
    )
    return Failure(
        id=request.id,
        index=index,
        model=route.model,
        endpoint=endpoint,
        error=error,
        latency_s=elapsed_s,
        attempts=retry.attempts,
        abandoned=retry.abandoned,
        faults=retry.faults,
        possibly_billed_usd=possibly_billed_usd,
        rate_limits={} if headers is None else rate_limit_fields(headers),
    )


def unsendable(error: InvalidRequestError, route: Route, request: Request, index: int) -> Failure:
    """Return the failure of a request that cannot be sent as it is."""
    return Failure(
        id=request.id,
        index=index,
        model=route.model,
        endpoint=route.station.endpoint.name,
        error=NotSentError(str(error), kind=ErrorKind.INVALID_REQUEST, request_id=request.id),
    )
