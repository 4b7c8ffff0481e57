"""How a client is made: all that can be said about it, and what is refused before it opens."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from decimal import Decimal

from trillium._batch.arguments import check_concurrency
from trillium._money.budget import Budget, as_budget
from trillium._policy.quota import Quota
from trillium._policy.retry_policy import RetryPolicy
from trillium._transport.choice import UserTransport
from trillium._wire.dialect import dialect_named
from trillium.client import Client
from trillium.endpoints import Endpoint, Model, Secret, takes_key
from trillium.limits import LimitReport, Limits
from trillium.observers import Observer
from trillium.prices import Prices
from trillium.providers import resolve
from trillium.timeouts import Timeouts


@takes_key
def open_client(
    where: str | Model | Endpoint | None = None,
    *,
    base_url: str | None = None,
    key: str | Secret | None = None,
    dialect: str | None = None,
    headers: Mapping[str, str] | None = None,
    concurrency: int | None = None,
    timeouts: Timeouts | None = None,
    retry: RetryPolicy | None = None,
    transport: UserTransport | None = None,
    ssl_context: ssl.SSLContext | None = None,
    observer: Observer | None = None,
    prices: Prices | None = None,
    budget: Budget | Decimal | None = None,
    limits: Limits | Quota | None = None,
    learnt: Iterable[LimitReport] = (),
    seed: int = 0,
) -> Client:
    """Return a client, to be opened with `async with`, or with `open` and `aclose`.

    Args:
        where: `"provider/model"`, split at the first slash; a `Model` or an `Endpoint`; or, with
            `base_url`, the name of the default model on the wire, sent as it is.
        base_url: Of a server that is not known by name: `http://localhost:8000/v1`.
        key: The key; None reads the environment variable of a provider that is known by name.
        dialect: The wire format of `base_url`: `openai-chat` (the default) or `anthropic`.
        headers: Further headers of every request to `base_url`.
        concurrency: How many attempts may be in flight at once at an endpoint. None sets no bound
            for single calls; a batch begins with 50 and finds out how many are of use.
        timeouts: Deadlines of each request; by default it may take 120 s in all.
        retry: How often, and after what waits, attempts are made again.
        transport: Your own `httpx.AsyncClient` or transport in the place of the built-in pool.
            It stays yours to close.
        ssl_context: What TLS is spoken with; by default the usual certificates are trusted, or
            those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
        observer: Is told what happens.
        prices: What models cost; by default the prices in the box (see `load_prices`).
        limits: What the endpoint permits per time, as far as you know; what its headers tell, or
            its refusals show, is learnt besides. A `Quota` that several clients are given holds
            for all of them together.
        learnt: What another client's `limits` returned, to begin with in the place of nothing.
            What was told to that one is passed over; what it learnt is learnt anew from the first
            answer on, and so holds back nobody who is permitted more by now.
        budget: What may be spent on all that this client sends: `usd(5)`, or a `Budget`.
        seed: Of the dice that spread the waits between attempts.

    Raises:
        InvalidRequestError: An unknown provider or dialect, no key where one is needed, or
            arguments that do not fit together. Nothing was sent.
    """
    endpoint, default_model = resolve(
        where, base_url=base_url, key=key, dialect=dialect, headers=headers
    )
    dialect_named(endpoint.dialect)  # an unknown one is told here, and not by each request
    if concurrency is not None:
        check_concurrency(concurrency)
    return Client(
        endpoint,
        default_model,
        concurrency=concurrency,
        timeouts=timeouts or Timeouts(),
        retry=retry or RetryPolicy(),
        transport=transport,
        ssl_context=ssl_context,
        observer=observer,
        prices=prices or Prices(),
        budget=as_budget(budget),
        quota=limits if isinstance(limits, Quota) else Quota(limits),
        learnt=tuple(learnt),
        seed=seed,
    )
