"""A comparison, run: the same prompts to several models at the same time.

It is a batch whose source deals the turns out, and in which each model has places of its own: so
each goes at its own pace, and a slow one takes nothing from the others. Where models share what
an endpoint permits, the turns' order is that in which they get it.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import final

import attrs
import trio

from trillium._batch.arguments import COMPARED_AT_ONCE, check_concurrency, check_many
from trillium._batch.options import BatchOptions
from trillium._batch.run import Batch
from trillium._call.account import open_purse
from trillium._call.nurseries import open_private_nursery
from trillium._call.route import Route, Station
from trillium._call.routes import Routes
from trillium._comparing.connecting import connect_ahead
from trillium._comparing.measuring import Stopwatch
from trillium._comparing.turns import turns
from trillium._money.budget import Budget, Purse
from trillium._policy.places import Places
from trillium.comparison import Comparison, ComparisonSample, ModelComparison
from trillium.endpoints import Endpoint, Model
from trillium.errors import InvalidRequestError
from trillium.limits import Limits
from trillium.messages import Message, Request, as_request
from trillium.observers import Observer, Observers
from trillium.timeouts import Timeouts


@final
@attrs.frozen(kw_only=True)
class Terms:
    """How models are to be compared."""

    repeat: int = 1
    concurrency: int = COMPARED_AT_ONCE
    """Of each model."""
    deadline_s: float | None = None
    """Seconds from the first request."""
    seed: int = 0

    def check(self) -> None:
        """Refuse what is none.

        Raises:
            InvalidRequestError: A number that is not in its range.
        """
        check_concurrency(self.concurrency)
        if isinstance(self.repeat, bool) or not isinstance(self.repeat, int) or self.repeat < 1:
            raise InvalidRequestError(f"repeat is {self.repeat!r}: a whole number from 1 is needed")
        if self.deadline_s is not None and not 0 < self.deadline_s < math.inf:
            msg = f"deadline_s is {self.deadline_s!r}: seconds above 0 are needed"
            raise InvalidRequestError(msg)


@final
class Comparing:
    """One comparison on its way; run once."""

    def __init__(
        self,
        prompts: Iterable[str | Message | Request],
        models: Iterable[str | Model],
        *,
        routes: Routes,
        terms: Terms,
        timeouts: Timeouts,
        budgets: tuple[Budget | None, Budget | None] = (None, None),
        observer: Observer | None = None,
        limits: Mapping[Endpoint, Limits] | None = None,
    ) -> None:
        """Look at all that is given; nothing is sent.

        Args:
            prompts: Requests that name no model.
            models: What is compared.
            routes: The client's.
            terms: How.
            timeouts: Of each request.
            budgets: The comparison's own, and the client's.
            observer: Is told of each request, whose `index` is its place among the turns.
            limits: What endpoints permit, as told.

        Raises:
            InvalidRequestError: A prompt names a model, a model stands twice, a number is out of
                its range, or no budget can hold a model's price.
        """
        terms.check()
        self._requests = _read_prompts(prompts)
        self._routes = _own_routes(models, routes, terms.concurrency)
        self._terms = terms
        self._timeouts = timeouts
        self._observer = observer
        self._limits = limits or {}
        named = [route.name for route in self._routes]
        self._turns = list(
            turns(
                prompts=len(self._requests),
                repeat=terms.repeat,
                models=len(named),
                seed=terms.seed,
            )
        )
        purses = [open_purse(*budgets, routes, model) for model in named]
        self._purse: Purse | None = purses[0]
        self._samples: list[list[ComparisonSample]] = [[] for _ in named]
        self._connect_s: dict[Endpoint, float | None] = {}
        self._started_at = datetime.datetime.now(datetime.UTC)
        self._stopwatch = Stopwatch()
        self._elapsed_s = 0.0
        self.batch: Batch = self._open_batch()
        """The run itself: to be drained, or looked at."""

    @property
    def count(self) -> int:
        """How many requests there are in all."""
        return len(self._turns)

    async def run(self) -> Comparison:
        """Ask, and return what was found; what a model cannot do loses no other."""
        await self._connect()
        now = trio.current_time()
        self._started_at = datetime.datetime.now(datetime.UTC)
        self._stopwatch.began_at = now
        for station in self._stations():
            if (limits := self._limits.get(station.endpoint)) is not None:
                station.quota.set_limits(limits, now)
        async with self.batch as batch:
            async for outcome in batch:
                if batch.stopped is not None and batch.stopped.forgets(outcome):
                    continue  # drained: it is as if it had not been asked for
                turn = self._turns[outcome.index]
                self._samples[turn.model].append(self._stopwatch.sample(turn, outcome))
                self._elapsed_s = trio.current_time() - now
        return self.found()

    def found(self) -> Comparison:
        """Return what was found so far."""
        return Comparison(
            started_at=self._started_at,
            elapsed_s=self._elapsed_s,
            prompts=len(self._requests),
            repeat=self._terms.repeat,
            concurrency=self._terms.concurrency,
            seed=self._terms.seed,
            models=[
                ModelComparison.of(
                    route.station.endpoint.name,
                    route.model,
                    samples,
                    connect_s=self._connect_s.get(route.station.endpoint),
                )
                for route, samples in zip(self._routes, self._samples, strict=True)
            ],
            stop=self.batch.stopped,
        )

    def _open_batch(self) -> Batch:
        by_model: dict[str | Model | None, Route] = {route.name: route for route in self._routes}
        timeouts = self._timeouts
        if timeouts.first_token_s is None:
            # Bound by nothing, yet streamed: else there is no first token to be seen.
            timeouts = attrs.evolve(timeouts, first_token_s=math.inf)
        watching = [one for one in (self._stopwatch, self._observer) if one is not None]
        return Batch(
            self._deal(),
            route_of=lambda request: by_model[request.model],
            options=BatchOptions(
                concurrency=None,
                # The window holds all turns: else those of a slow model would fill it.
                expected_concurrency=len(self._turns),
                ordered=False,
                timeouts=timeouts,
                deadline_s=self._terms.deadline_s,
                observer=watching[0] if len(watching) == 1 else Observers(*watching),
                purse=self._purse,
                goes_on_with_the_cheaper=True,
            ),
        )

    def _deal(self) -> Iterator[Request]:
        for turn in self._turns:
            model = self._routes[turn.model].name
            yield attrs.evolve(self._requests[turn.prompt], model=model)

    async def _connect(self) -> None:
        """Make the connections that will be of use at once, of all endpoints at the same time."""
        at_once = min(self._terms.concurrency, len(self._requests) * self._terms.repeat)

        async def connect(station: Station, count: int) -> None:
            self._connect_s[station.endpoint] = await connect_ahead(station, count)

        async with open_private_nursery() as nursery:
            for station, models in self._stations().items():
                count = min(at_once * models, station.limiter.total_tokens)
                nursery.start_soon(connect, station, int(count))

    def _stations(self) -> dict[Station, int]:
        """Return the endpoints, and how many of the models each of them has."""
        found: dict[Station, int] = {}
        for route in self._routes:
            found[route.station] = found.get(route.station, 0) + 1
        return found


def _read_prompts(prompts: Iterable[str | Message | Request]) -> list[Request]:
    check_many(prompts, "prompts")
    requests = [as_request(prompt) for prompt in prompts]
    for place, request in enumerate(requests):
        if request.model is not None:
            raise InvalidRequestError(f"prompt {place} names a model itself: leave it to models=")
    if not requests:
        raise InvalidRequestError("there is no prompt to compare models with")
    return requests


def _own_routes(
    models: Iterable[str | Model], routes: Routes, concurrency: int
) -> tuple[Route, ...]:
    check_many(models, "models")
    found = [routes.route(model) for model in models]
    if not found:
        raise InvalidRequestError("there is no model in models=")
    if len(set(found)) < len(found):
        raise InvalidRequestError("a model stands twice in models=")
    return tuple(attrs.evolve(route, further=(Places(concurrency),)) for route in found)
