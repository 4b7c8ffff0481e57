"""Is the key good, and may it use this model: asked without paying, where the provider allows."""

from __future__ import annotations

import time
from typing import Final, final

import attrs
import trio

from trillium._call.route import Route
from trillium._call.single import outcome_of, single_call
from trillium._money.budget import Purse
from trillium._policy.deadlines import DeadlineTerms
from trillium._policy.retry_policy import RetryPolicy
from trillium._transport.exchange import Target
from trillium.completions import Completion
from trillium.errors import ERROR_CLASSES, ErrorKind, Fault, InvalidRequestError, RequestError
from trillium.messages import Request
from trillium.timeouts import Timeouts

MAX_LIST_BYTES: Final = 16 * 1024 * 1024
"""Some providers list thousands of models, with pages of text on each."""

_NOT_LISTED: Final = frozenset(
    {ErrorKind.UNEXPECTED_STATUS, ErrorKind.PROTOCOL_ERROR, ErrorKind.MODEL_NOT_FOUND}
)
"""What a server answers that has no list of models, or not of that form."""


@final
@attrs.frozen(kw_only=True)
class Verification:
    """What is known of a key and a model after asking."""

    endpoint: str
    model: str | None
    key_accepted: bool | None
    """None where nobody was asked, or could say: a failed connection, a server without keys."""
    model_available: bool | None
    """None where no model was asked for, or nobody could say."""
    latency_s: float
    """How long it took to find out, in seconds."""
    paid: bool = False
    """Whether it took a real request, of at most 16 tokens, to find out."""
    error: RequestError | None = None
    """What went wrong, if something did."""

    @property
    def success(self) -> bool:
        """Whether the key and the model can be used."""
        return self.error is None


PAID_TOKENS: Final = 16
"""As few as every model takes: some refuse a smaller bound."""


async def verify(
    route: Route, purse: Purse | None, *, named: bool, timeouts: Timeouts
) -> Verification:
    """Ask the endpoint about its key, and about the route's model if it was `named`."""
    started = trio.current_time()
    paid = False
    key_accepted: bool | None = None
    available: bool | None = None
    with trio.CancelScope() as scope:
        if timeouts.request_s is not None:
            scope.deadline = started + timeouts.request_s
        await trio.lowlevel.checkpoint()
        path = route.station.endpoint.key_check_path
        fault = None if path is None else await _check_key(route, path)
        if fault is None:
            fault, available = await _check_models(route, named=named)
        if fault is not None and fault.kind in _NOT_LISTED and available is None and named:
            paid = True
            fault = await _pay(route, timeouts, purse)
            paid = fault is None or fault.kind is not ErrorKind.NOT_SENT
            available = True if fault is None else None
    if scope.cancelled_caught:
        assert timeouts.request_s is not None
        fault = Fault(
            kind=ErrorKind.REQUEST_TIMEOUT,
            message=f"no answer within {timeouts.request_s:g} s",
            seconds=timeouts.request_s,
        )
    if fault is None:
        key_accepted = True
    elif fault.kind is ErrorKind.MODEL_NOT_FOUND:
        key_accepted, available = True, False
    elif fault.kind is ErrorKind.AUTHENTICATION:
        key_accepted = False
    elapsed_s = trio.current_time() - started
    return Verification(
        endpoint=route.station.endpoint.name,
        model=route.model if named else None,
        key_accepted=key_accepted if route.station.endpoint.key is not None else None,
        model_available=available,
        latency_s=elapsed_s,
        paid=paid,
        error=None if fault is None else _error(route, fault, elapsed_s),
    )


async def _check_key(route: Route, path: str) -> Fault | None:
    found = await _get(route, path)
    return found if isinstance(found, Fault) else None


async def _check_models(route: Route, *, named: bool) -> tuple[Fault | None, bool | None]:
    dialect = route.station.dialect
    found = await _get(route, dialect.models_path(model=None))
    listed = found if isinstance(found, Fault) else dialect.listed_models(found)
    if isinstance(listed, Fault):
        return listed, None
    if not named:
        return None, None
    if route.model in listed:
        return None, True
    # Lists hold neither every alias nor, where they come in pages, every model.
    found = await _get(route, dialect.models_path(model=route.model))
    if not isinstance(found, Fault):
        return None, True
    if found.kind in _NOT_LISTED:
        message = f"no model {route.model!r} for this key: {found.message}"
        return attrs.evolve(found, kind=ErrorKind.MODEL_NOT_FOUND, message=message), False
    return found, None


async def _get(route: Route, path: str) -> bytes | Fault:
    station = route.station
    target: Target = station.target(path, method="GET")
    try:
        exchange = await station.transport.send(target, b"")
        try:
            body = await exchange.read(MAX_LIST_BYTES)
        finally:
            await exchange.aclose()
    except RequestError as error:
        # Sending was a checkpoint, also where it failed.
        return Fault(kind=error.kind, message=error.message)  # noqa: ASYNC910
    if exchange.status == 200:
        return body
    return station.dialect.fault(exchange.status, exchange.headers, body, now_unix=time.time())


async def _pay(route: Route, timeouts: Timeouts, purse: Purse | None) -> Fault | None:
    """Send a request as small as can be, once."""
    route = attrs.evolve(route, retry_policy=RetryPolicy(max_attempts=1))
    request = Request("Say yes.", max_tokens=PAID_TOKENS)
    terms = DeadlineTerms(timeouts=timeouts)
    try:
        outcome = await outcome_of(
            single_call(route, request, terms=terms, observer=None, purse=purse)
        )
    except InvalidRequestError as error:
        return Fault(kind=ErrorKind.NOT_SENT, message=str(error))  # noqa: ASYNC910  # as for a fault
    if isinstance(outcome, Completion):
        return None
    return (
        outcome.faults[-1]
        if outcome.faults
        else Fault(kind=outcome.error.kind, message=outcome.error.message)
    )


def _error(route: Route, fault: Fault, elapsed_s: float) -> RequestError:
    fault = route.station.redacted(fault)
    return ERROR_CLASSES[fault.kind](
        f"{route.station.endpoint.name}: {fault.message}",
        kind=fault.kind,
        attempts=1,
        elapsed_s=elapsed_s,
        status=fault.status,
        code=fault.code,
        retry_after_s=fault.retry_after_s,
        seconds=fault.seconds,
    )
