"""What an open client has to ask with, and the calls, batches and comparisons made of it."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, final

import attrs

from trillium._batch.arguments import DEFAULT_CONCURRENCY, check_batch, record_of, reuse_of
from trillium._batch.journal_options import JournalOptions
from trillium._batch.options import BatchOptions, concurrency_of
from trillium._batch.record import Record
from trillium._batch.run import Batch
from trillium._call.account import open_purse
from trillium._call.call import Call
from trillium._call.lifetime import Lifetime
from trillium._call.route import Route
from trillium._call.routes import Routes
from trillium._call.single import single_call
from trillium._money.budget import Budget, Purse, as_budget
from trillium._policy.deadlines import DeadlineTerms
from trillium._transport.choice import UserTransport, open_transport
from trillium._transport.exchange import Transport
from trillium.endpoints import Endpoint, Model
from trillium.limits import Limits
from trillium.messages import Message, Request, as_request
from trillium.observers import Observer
from trillium.providers import is_in_process
from trillium.sim import SimTransport
from trillium.timeouts import Timeouts

if TYPE_CHECKING:
    from trillium._batch.answer_cache import AnswerCache
    from trillium._comparing.run import Comparing, Terms
    from trillium._planning.planning import Planner
    from trillium.plans import Assumptions

Prompt = str | Message | Request
"""What may be asked: a bare string is one user message."""


@final
@attrs.define(eq=False, repr=False, kw_only=True)
class Means:
    """One client's."""

    routes: Routes
    lifetime: Lifetime
    timeouts: Timeouts
    observer: Observer | None
    budget: Budget | None
    purse: Purse | None = attrs.field(init=False)
    """What single calls pay from."""
    _terms: DeadlineTerms = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.purse = None if self.budget is None else Purse((self.budget,))
        self._terms = DeadlineTerms(timeouts=self.timeouts)

    def route(self, model: str | Model | None) -> Route:
        """Return where a model is asked; None is the default model.

        Raises:
            InvalidRequestError: There is no default model, or its dialect is not known.
            ClientClosedError: The client is not open.
        """
        self.lifetime.check_open()
        return self.routes.route(model)

    def call(
        self, prompt: Prompt, *, model: str | Model | None = None, timeouts: Timeouts | None = None
    ) -> Call:
        """Return a single call, as `Client.complete` and `Client.stream` make it."""
        request = as_request(prompt)
        route = self.route(model if request.model is None else request.model)
        terms = self._terms if timeouts is None else DeadlineTerms(timeouts=timeouts)
        return single_call(route, request, terms=terms, observer=self.observer, purse=self.purse)

    def batch(
        self,
        requests: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        model: str | Model | None,
        concurrency: int | None,
        ordered: bool,
        timeouts: Timeouts | None,
        deadline_s: float | None,
        observer: Observer | None,
        budget: Budget | Decimal | None,
        journal: str | os.PathLike[str] | JournalOptions | Record | None,
        dedupe: bool,
        cache: str | os.PathLike[str] | AnswerCache | None,
    ) -> Batch:
        """Return a batch, as `Client.batch` describes it."""
        self.lifetime.check_open()
        check_batch(requests, concurrency, deadline_s)
        concurrency, adaptive, expected = concurrency_of(
            concurrency, self.routes.concurrency, begin_with=DEFAULT_CONCURRENCY
        )

        def route_of(request: Request) -> Route:
            return self.route(model if request.model is None else request.model)

        record = record_of(journal, self.routes, model, digests=dedupe)
        return Batch(
            requests,
            route_of=route_of,
            options=BatchOptions(
                concurrency=concurrency,
                adaptive=adaptive,
                expected_concurrency=expected,
                ordered=ordered,
                timeouts=timeouts or self.timeouts,
                deadline_s=deadline_s,
                observer=observer or self.observer,
                purse=open_purse(as_budget(budget), self.budget, self.routes, model),
                record=record,
                reuse=reuse_of(cache, record, dedupe=dedupe),
            ),
        )

    def comparing(
        self,
        prompts: Iterable[Prompt],
        models: Iterable[str | Model],
        *,
        terms: Terms,
        timeouts: Timeouts | None,
        observer: Observer | None,
        budget: Budget | None,
        limits: Mapping[Endpoint, Limits] | None,
    ) -> Comparing:
        """Return a comparison that is not run yet."""
        from trillium._comparing.run import Comparing  # noqa: PLC0415  # few compare

        self.lifetime.check_open()
        return Comparing(
            prompts,
            models,
            routes=self.routes,
            terms=terms,
            timeouts=timeouts or self.timeouts,
            budgets=(budget, self.budget),
            observer=observer or self.observer,
            limits=limits,
        )

    def planner(
        self,
        batch: Callable[..., Batch],
        *,
        concurrency: int | None,
        limits: Limits | None,
        budget: Budget | Decimal | None,
        assume: Assumptions | None,
        sample: int,
    ) -> Planner:
        """Return what plans batches, and asks samples by `Client.batch`."""
        self.lifetime.check_open()
        from trillium._planning.planning import Planner, PlanOptions  # noqa: PLC0415  # simulator

        options = PlanOptions(concurrency, limits, as_budget(budget), assume, sample)
        return Planner(self.routes, batch, self.timeouts, self.budget, options)


def transport_to(
    endpoint: Endpoint,
    lifetime: Lifetime,
    given: UserTransport | None,
    ssl_context: ssl.SSLContext | None,
) -> Transport:
    """Return what carries requests to an endpoint, for as long as the client is open."""
    if is_in_process(endpoint):
        return SimTransport(lifetime.nursery)
    return open_transport(endpoint.base_url, given, ssl_context=ssl_context)
