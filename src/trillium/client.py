"""The client: open it, and ask."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Self, final

import trio

from trillium._batch.arguments import COMPARED_AT_ONCE
from trillium._batch.each import ModelT, ask_each, index_of
from trillium._batch.journal_options import JournalOptions
from trillium._batch.record import Record
from trillium._batch.run import Batch
from trillium._call.lifetime import Lifetime
from trillium._call.routes import Routes
from trillium._call.single import completion_in, outcome_of
from trillium._call.stream import CompletionStream
from trillium._call.verify import Verification, verify
from trillium._money.budget import Budget, as_budget
from trillium._policy.quota import Quota
from trillium._policy.retry_policy import RetryPolicy
from trillium._transport.choice import UserTransport
from trillium._transport.open_files import most_connections
from trillium.completions import Completion, Outcome
from trillium.endpoints import Endpoint, Model
from trillium.limits import LimitReport, Limits
from trillium.means import Means, Prompt, transport_to
from trillium.observers import Observer
from trillium.prices import Prices
from trillium.providers import is_in_process
from trillium.timeouts import Timeouts

if TYPE_CHECKING:
    from trillium._batch.answer_cache import AnswerCache
    from trillium._comparing.run import Comparing, Terms
    from trillium.comparison import Comparison
    from trillium.plans import Assumptions, Plan


@final
class Client:
    """Asks one endpoint, and those of the models that requests name; made by `open_client`.

    It owns no task: idle connections expire when they are next looked at, and what a call or a
    batch needs lives in its own block. So `open` and `aclose` may be called from different tasks.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        default_model: str | None,
        *,
        concurrency: int | None,
        timeouts: Timeouts,
        retry: RetryPolicy,
        transport: UserTransport | None,
        ssl_context: ssl.SSLContext | None,
        observer: Observer | None,
        prices: Prices,
        budget: Budget | None,
        quota: Quota,
        learnt: Sequence[LimitReport] = (),
        seed: int,
    ) -> None:
        self._routes = Routes(
            endpoint=endpoint,
            default_model=default_model,
            open_transport=lambda place: transport_to(
                place, self._lifetime, transport, ssl_context
            ),
            tariff_of=prices.tariff,
            quota=quota,
            learnt=learnt,
            retry_policy=retry,
            concurrency=concurrency,
            seed=seed,
            # Of a connection within this process both ends are its own.
            most_in_flight=lambda place: most_connections() // (1 + is_in_process(place)),
        )
        self._lifetime = Lifetime(self._routes.aclose)
        self._means = Means(
            routes=self._routes,
            lifetime=self._lifetime,
            timeouts=timeouts,
            observer=observer,
            budget=budget,
        )

    def __repr__(self) -> str:
        routes = self._routes
        default = "" if routes.default_model is None else f"/{routes.default_model}"
        return f"<trillium.Client {routes.endpoint.name}{default}, {self._lifetime.state}>"

    # Its lifetime.

    async def __aenter__(self) -> Self:
        await self._lifetime.enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._lifetime.leave(kind, error, traceback)  # noqa: ASYNC102  # waits for none

    async def open(self) -> None:
        """Open the client by hand; `aclose` ends it. Prefer `async with`.

        Raises:
            UsageError: It was opened before, or this is no trio program.
        """
        self._lifetime.begin()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close all connections. Idempotent.

        What is in flight raises a `ClientClosedError`, and what waits to be sent does so then.
        """
        await self._lifetime.end()
        await trio.lowlevel.checkpoint()

    # What it does.

    async def complete(
        self, prompt: Prompt, *, model: str | Model | None = None, timeouts: Timeouts | None = None
    ) -> Completion:
        """Answer one request.

        Args:
            prompt: The request; a bare string is a user message.
            model: In the place of the client's default; a request's own model goes first.
            timeouts: In the place of the client's.

        Raises:
            RequestError: There is no answer; `kind` says why.
            InvalidRequestError: The request cannot be sent as it is. Nothing was sent.
            ClientClosedError: The client is not open.
        """
        call = self._means.call(prompt, model=model, timeouts=timeouts)
        return completion_in(await outcome_of(call))

    def stream(
        self, prompt: Prompt, *, model: str | Model | None = None, timeouts: Timeouts | None = None
    ) -> CompletionStream:
        """Return the stream of one completion, an async context manager.

        Args:
            prompt: The request; a bare string is a user message.
            model: In the place of the client's default; a request's own model goes first.
            timeouts: In the place of the client's.

        Raises:
            InvalidRequestError: No model is named. Nothing was sent.
            ClientClosedError: The client is not open.
        """
        call = self._means.call(prompt, model=model, timeouts=timeouts)
        return CompletionStream(call, self._lifetime.watch, self._lifetime.readiness)

    def batch(
        self,
        requests: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        model: str | Model | None = None,
        concurrency: int | None = None,
        ordered: bool = False,
        timeouts: Timeouts | None = None,
        deadline_s: float | None = None,
        observer: Observer | None = None,
        budget: Budget | Decimal | None = None,
        journal: str | os.PathLike[str] | JournalOptions | Record | None = None,
        dedupe: bool = False,
        cache: str | os.PathLike[str] | AnswerCache | None = None,
    ) -> Batch:
        """Return a batch over `requests`, an async context manager and iterator of outcomes.

        Args:
            requests: Any iterable or async iterable, also an endless one. It is read no further
                ahead than the batch's window.
            model: For requests that name none, in the place of the client's default.
            concurrency: How many attempts of this batch may be in flight at once.
            ordered: Give outcomes in the order of the requests; else as they complete.
            timeouts: Of each request, in the place of the client's. A request's own clock starts
                when it is first sent.
            deadline_s: Seconds from entering the block until it stops.
            observer: In the place of the client's.
            budget: What may be spent on it, within the client's own: `usd(5)`, or a `Budget`.
            journal: A file that each outcome is written to before it is given out. The same
                requests with the same journal go on where an earlier run ended: what that has
                answered is given out as it was, marked `restored`, and its failures are asked
                again. `JournalOptions` say otherwise. Entering the block, and iterating, may
                raise an `OutputError`: another process writes it, it is of other requests, or
                the disk is full.
            dedupe: Ask requests once that are equal in all that is sent: to one in flight, or to
                one that the journal has the answer of. Each has its own outcome, and what was
                `reused` costs nothing.
            cache: A file of answers that many jobs share; what stands in it is not asked.

        Raises:
            InvalidRequestError: A bound that is none, or a budget without a price.
            ClientClosedError: The client is not open.
        """
        return self._means.batch(
            requests,
            model=model,
            concurrency=concurrency,
            ordered=ordered,
            timeouts=timeouts,
            deadline_s=deadline_s,
            observer=observer,
            budget=budget,
            journal=journal,
            dedupe=dedupe,
            cache=cache,
        )

    async def complete_all(
        self,
        requests: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        model: str | Model | None = None,
        concurrency: int | None = None,
        timeouts: Timeouts | None = None,
        deadline_s: float | None = None,
    ) -> list[Outcome]:
        """Return the outcomes of all requests, in their order. One failure loses no other.

        Takes what `batch` takes, and holds all outcomes in memory.
        """
        outcomes: list[Outcome] = []
        async with self.batch(
            requests,
            model=model,
            concurrency=concurrency,
            timeouts=timeouts,
            deadline_s=deadline_s,
        ) as batch:
            outcomes.extend([outcome async for outcome in batch])
        outcomes.sort(key=index_of)
        return outcomes

    async def complete_each(
        self,
        prompts: Iterable[Prompt],
        models: Iterable[ModelT],
        *,
        concurrency: int | None = None,
        timeouts: Timeouts | None = None,
        deadline_s: float | None = None,
    ) -> dict[ModelT, list[Outcome]]:
        """Ask several models the same, at the same time; return the outcomes of each, in order.

        Args:
            prompts: Requests that name no model of their own.
            models: Names on the wire at the client's endpoint, or `Model` objects of any.
            concurrency: How many attempts may be in flight at once for each model.
            timeouts: Of each request, in the place of the client's.
            deadline_s: Seconds until it stops.

        Raises:
            InvalidRequestError: A prompt names a model, or a model stands twice. Nothing was sent.
            ClientClosedError: The client is not open.
        """
        self._lifetime.check_open()
        ask = functools.partial(
            self.complete_all, concurrency=concurrency, timeouts=timeouts, deadline_s=deadline_s
        )
        return await ask_each(ask, prompts, models)

    async def compare(
        self,
        prompts: Iterable[Prompt],
        models: Iterable[str | Model],
        *,
        repeat: int = 1,
        concurrency: int = COMPARED_AT_ONCE,
        timeouts: Timeouts | None = None,
        deadline_s: float | None = None,
        observer: Observer | None = None,
        budget: Budget | Decimal | None = None,
        seed: int = 0,
    ) -> Comparison:
        """Ask several models the same at the same time, and measure success, speed and cost.

        Answers are streamed, so that the first token is seen. Each model goes at its own pace; for
        each prompt another one has the first turn. Connections are made before anything is timed.

        Args:
            prompts: Requests that name no model of their own.
            models: Names on the wire at the client's endpoint, or `Model` objects of any.
            repeat: How often each prompt is asked of each model.
            concurrency: How many attempts of each model may be in flight at once.
            timeouts: Of each request, in the place of the client's.
            deadline_s: Seconds from the first request until it stops.
            observer: In the place of the client's; an `index` counts the requests of all models.
            budget: What may be spent on it, within the client's own: `usd(5)`, or a `Budget`. The
                rest of a model whose next request it does not hold is `not_sent`; others go on.
            seed: Of the order in which models have their turns.

        Returns:
            What was found, and each answer; failures are counted by kind, and raise nothing.

        Raises:
            InvalidRequestError: A prompt names a model, a model stands twice, a bound is none, or
                a budget has no price of a model. Nothing was sent.
            ClientClosedError: The client is not open.
        """
        from trillium._comparing.run import Terms  # noqa: PLC0415  # few compare

        comparing = comparing_of(
            self,
            prompts,
            models,
            terms=Terms(repeat=repeat, concurrency=concurrency, deadline_s=deadline_s, seed=seed),
            timeouts=timeouts,
            observer=observer,
            budget=as_budget(budget),
        )
        return await comparing.run()

    async def plan(
        self,
        requests: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        model: str | Model | None = None,
        concurrency: int | None = None,
        limits: Limits | None = None,
        budget: Budget | Decimal | None = None,
        assume: Assumptions | None = None,
        sample: int = 0,
    ) -> Plan:
        """Tell what a batch of these requests would take: tokens, money, time, and what binds it.

        The batch is rehearsed in virtual time, in a thread. Nothing is sent but a sample.

        Args:
            requests: Any iterable or async iterable that ends; it is read once.
            model: For requests that name none, in the place of the client's default.
            concurrency: As of the batch.
            limits: What the endpoint permits, in the place of what the client was told or learnt.
            budget: As of the batch; a sample is paid from it.
            assume: What only answers could say; the defaults are guesses.
            sample: How many requests, drawn by lot, are really asked, and paid for within the
                budgets. The plan has intervals then.

        Raises:
            InvalidRequestError: A request cannot be sent as it is; it says which. Nothing was.
            ClientClosedError: The client is not open.
        """
        planner = self._means.planner(
            self.batch,
            concurrency=concurrency,
            limits=limits,
            budget=budget,
            assume=assume,
            sample=sample,
        )
        return await planner.plan(requests, model)

    async def plan_each(
        self,
        requests: Iterable[Prompt] | AsyncIterable[Prompt],
        models: Iterable[ModelT],
        *,
        concurrency: int | None = None,
        limits: Limits | None = None,
        budget: Budget | Decimal | None = None,
        assume: Assumptions | None = None,
        sample: int = 0,
    ) -> dict[ModelT, Plan]:
        """Plan the same requests with several models, side by side.

        Takes what `plan` takes. Each model is planned as if alone; one budget pays all samples.
        """
        planner = self._means.planner(
            self.batch,
            concurrency=concurrency,
            limits=limits,
            budget=budget,
            assume=assume,
            sample=sample,
        )
        return await planner.plan_each(requests, models)

    async def verify(
        self, *, model: str | Model | None = None, timeouts: Timeouts | None = None
    ) -> Verification:
        """Ask whether the key is good, and whether it may use the model.

        It costs no tokens where the provider lists its models, and at most 16 where not, which the
        client's budget pays. What is wrong stands in the result; nothing is raised for it.

        Args:
            model: In the place of the client's default; where there is neither, only the key is
                looked at.
            timeouts: In the place of the client's.

        Raises:
            ClientClosedError: The client is not open.
        """
        named = model is not None or self._routes.default_model is not None
        self._lifetime.check_open()
        route = self._routes.route(model) if named else self._routes.route_without_model()
        means = self._means
        return await verify(route, means.purse, named=named, timeouts=timeouts or means.timeouts)

    def limits(self) -> list[LimitReport]:
        """Return what is known of the limits of all endpoints asked so far, told and learnt.

        How many may be in flight is among them where nobody has told it and it was found out.
        """
        now = trio.current_time()
        return [each for station in self._routes.stations for each in station.limits(now)]


def comparing_of(
    client: Client,
    prompts: Iterable[Prompt],
    models: Iterable[str | Model],
    *,
    terms: Terms,
    timeouts: Timeouts | None = None,
    observer: Observer | None = None,
    budget: Budget | None = None,
    limits: Mapping[Endpoint, Limits] | None = None,
) -> Comparing:
    """Return a comparison that is not run yet, for a door that stops it, or looks at it meanwhile.

    It takes what `Client.compare` takes, and raises the same; and `limits`, what endpoints permit.
    """
    return client._means.comparing(
        prompts,
        models,
        terms=terms,
        timeouts=timeouts,
        observer=observer,
        budget=budget,
        limits=limits,
    )
