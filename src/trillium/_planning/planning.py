"""From a job to its plan: measured, if asked for sampled, and rehearsed."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, final

import attrs
import trio

from trillium._batch.arguments import DEFAULT_CONCURRENCY, check_concurrency, check_many
from trillium._batch.each import ModelT
from trillium._batch.options import concurrency_of
from trillium._batch.run import Batch
from trillium._batch.statistics import StopCause
from trillium._call.nurseries import open_private_nursery
from trillium._call.route import Route
from trillium._call.routes import Routes
from trillium._money.budget import Budget
from trillium._planning.calibration import CONFIDENCE, Calibration, Expected, calibrate, tail_of
from trillium._planning.intervals import dice_of
from trillium._planning.measure import Measure, Outline, Prompts, Reservoir, measure_all
from trillium._planning.provider import with_learnt
from trillium._planning.rehearsal import Rehearsal, StopSign, Terms, binding_of
from trillium._planning.scenarios import rehearse_all, scenarios_of
from trillium.endpoints import Model
from trillium.errors import InvalidRequestError
from trillium.limits import Limits
from trillium.messages import Request
from trillium.plans import FIRST_TOKEN_S, TOKENS_PER_SECOND, Assumptions, Binding, Plan
from trillium.providers import is_in_process
from trillium.sim import LATENCY_S as SIM_LATENCY_S
from trillium.sim import TOKENS_PER_SECOND as SIM_TOKENS_PER_SECOND
from trillium.timeouts import Timeouts

REHEARSED: Final = 4000
"""A job of so many requests is rehearsed whole, in about a second."""
LEAST_ROUNDS: Final = 8
"""How many times all places in flight are taken anew in a rehearsal of a part, at least."""
MOST_REHEARSED: Final = 20_000
EXACT_DECIMALS: Final = Decimal("1e-9")
"""Of amounts that follow from a ratio: billionths of a dollar."""
SIM_OUTPUT_TOKENS: Final = 32.0


def _assumed(told: Assumptions | None) -> Assumptions:
    return Assumptions() if told is None else told


@final
@attrs.frozen
class PlanOptions:
    """What a plan is asked about; see `Client.plan`.

    Raises:
        InvalidRequestError: A bound that is none.
    """

    concurrency: int | None
    limits: Limits | None
    """In the place of those that the client was told, and has learnt."""
    budget: Budget | None
    assume: Assumptions = attrs.field(converter=_assumed)
    sample: int

    def __attrs_post_init__(self) -> None:
        if self.concurrency is not None:
            check_concurrency(self.concurrency)
        sample = self.sample
        if isinstance(sample, bool) or not isinstance(sample, int) or sample < 0:
            raise InvalidRequestError(f"sample is {sample!r}: give a number of requests, from 0")


@final
@attrs.frozen
class Planner:
    """What a client knows that a plan needs, and what is asked."""

    routes: Routes
    batch: Callable[..., Batch]
    """`Client.batch`, for samples."""
    timeouts: Timeouts
    budget: Budget | None
    """The client's own."""
    options: PlanOptions

    async def plan(self, prompts: Prompts, model: str | Model | None) -> Plan:
        """Return the plan of a job."""
        (plan,) = await self._plans(prompts, [model])
        return plan

    async def plan_each(self, prompts: Prompts, models: Iterable[ModelT]) -> dict[ModelT, Plan]:
        """Return its plans with several models; it is read once."""
        check_many(models, "models")
        named = list(models)
        return dict(zip(named, await self._plans(prompts, named), strict=True))

    async def _plans(self, prompts: Prompts, models: Sequence[str | Model | None]) -> list[Plan]:
        check_many(prompts, "requests")
        options, routes = self.options, self.routes
        measures = [self._measure(routes.route(model)) for model in models]
        sample = Reservoir[Request](options.sample, dice_of(f"sample {routes.seed}"))
        count = await measure_all(
            prompts,
            measures,
            route_of=lambda request: routes.route(request.model),
            sample=sample,
        )
        plans = []
        for model, measure in zip(models, measures, strict=True):
            calibration = None
            if options.sample and count:
                calibration = await self._calibrated(measure, sample.items, model, count)
            plans.append(await self._planned(measure, count, calibration))
        return plans

    def _measure(self, route: Route) -> Measure:
        assume, size = self.options.assume, self._rehearsed
        endpoint = route.station.endpoint
        first_s, per_second, out = FIRST_TOKEN_S, TOKENS_PER_SECOND, assume.output_tokens
        if is_in_process(endpoint):
            first_s, per_second = SIM_LATENCY_S, SIM_TOKENS_PER_SECOND
            out = SIM_OUTPUT_TOKENS if out is None else out
        filled = attrs.evolve(
            assume,
            first_token_s=first_s if assume.first_token_s is None else assume.first_token_s,
            tokens_per_second=assume.tokens_per_second or per_second,
            output_tokens=out,
        )
        dice = dice_of(f"part {self.routes.seed}")
        return Measure(route, filled, Reservoir[Outline](size, dice))

    @property
    def _rehearsed(self) -> int:
        """How many requests a rehearsal has at most."""
        return min(MOST_REHEARSED, max(REHEARSED, LEAST_ROUNDS * self._concurrency[2]))

    @property
    def _concurrency(self) -> tuple[int | None, bool, int]:
        told, bound = self.options.concurrency, self.routes.concurrency
        return concurrency_of(told, bound, begin_with=DEFAULT_CONCURRENCY)

    # A sample.

    async def _calibrated(
        self, measure: Measure, requests: list[Request], model: str | Model | None, count: int
    ) -> Calibration:
        expected = [self._expected(measure, request) for request in requests]
        options = self.options
        async with self.batch(
            requests,
            model=model,
            concurrency=options.concurrency,
            budget=options.budget,
            ordered=True,
        ) as batch:
            outcomes = [outcome async for outcome in batch]
        reckon = functools.partial(
            calibrate, outcomes, expected, population=count, seed=self.routes.seed
        )
        found = await trio.to_thread.run_sync(reckon)  # of a thousand answers it takes a second
        if not found.sample.answered:
            measure.notes["no sampled request was answered: nothing is known from them"] = None
        return found

    def _expected(self, measure: Measure, request: Request) -> Expected:
        one = Measure(measure.route, measure.assumptions, Reservoir[Outline](1, dice_of("")))
        route = measure.route if request.model is None else self.routes.route(request.model)
        one.add(request, route, route.encode(request, stream=False))
        return Expected(
            text_bytes=one.requests.items[0].text_bytes,
            output_tokens=one.expected_output(request.max_tokens, route),
            cost_usd=one.cost_usd,
        )

    # A rehearsal.

    async def _planned(self, measure: Measure, count: int, calibration: Calibration | None) -> Plan:
        scenarios = scenarios_of(calibration, measure, count)
        terms = self._terms(measure.route)
        outlines = measure.requests.items
        seed = self.routes.seed

        def run(stop: StopSign) -> list[Rehearsal]:
            return [
                rehearse_all(terms, scenario.parts(outlines, seed), stop, count=count)
                for scenario in scenarios
            ]

        rehearsals = await in_thread(run)
        finish = functools.partial(
            _plan, measure, count, rehearsals, calibration, rehearsed=len(outlines)
        )
        return await trio.to_thread.run_sync(finish)

    def _terms(self, route: Route) -> Terms:
        concurrency, adaptive, expected = self._concurrency
        station, options = route.station, self.options
        budgets = [b for b in (options.budget, self.budget) if b is not None]
        limits = options.limits
        if limits is None:
            reports = station.quota.reports(station.endpoint.name, trio.current_time())
            limits = with_learnt(station.quota.limits, reports, route.model)
        return Terms(
            endpoint=station.endpoint.name,
            model=route.model,
            charge_rule=station.endpoint.charge_rule,
            tariff=route.tariff,
            limits=limits,
            retry_policy=route.retry_policy,
            timeouts=self.timeouts,
            endpoint_concurrency=self.routes.concurrency,
            concurrency=concurrency,
            adaptive=adaptive,
            expected_concurrency=expected,
            budget_usd=min((b.left_usd for b in budgets), default=None),
            soft=bool(budgets) and all(b.soft for b in budgets),
            seed=self.routes.seed,
        )


async def in_thread(run: Callable[[StopSign], list[Rehearsal]]) -> list[Rehearsal]:
    """Rehearse in a thread, which comes to its end soon after a cancellation or Ctrl-C."""
    stop, done = StopSign(), trio.Event()
    found: list[Rehearsal] = []

    async def work() -> None:
        found.extend(await trio.to_thread.run_sync(run, stop))
        done.set()

    async with open_private_nursery() as nursery:
        nursery.start_soon(work)
        try:
            await done.wait()
        finally:
            stop.is_set = True
    return found


def _plan(
    measure: Measure,
    count: int,
    rehearsals: list[Rehearsal],
    calibration: Calibration | None,
    *,
    rehearsed: int,
) -> Plan:
    expected = rehearsals[0]
    seconds = sum(expected.waits_s.values())
    known = calibration if calibration is not None and calibration.seen else None
    if expected.stopped is None and expected.failure:
        without = count - expected.completed
        measure.notes[f"{without:,} would not be answered, such as: {expected.failure}"] = None
    plan = Plan(
        endpoint=measure.route.station.endpoint.name,
        model=measure.route.model,
        requests=count,
        input_tokens=measure.input_tokens,
        output_tokens=measure.output_tokens,
        worst_input_tokens=None if measure.worst_tokens is None else measure.worst_tokens[0],
        worst_output_tokens=None if measure.worst_tokens is None else measure.worst_tokens[1],
        cost_usd=measure.cost_usd,
        worst_cost_usd=measure.worst_cost_usd,
        makespan_s=expected.makespan_s,
        binding=_binding(expected),
        waits={cause: s / seconds for cause, s in expected.waits_s.items()},
        completed=expected.completed,
        stopped=expected.stopped,
        attempts=expected.attempts,
        rehearsed=rehearsed,
        assumptions=measure.assumptions,
        output_rule="; ".join(sorted(measure.rules)) or "there are no requests",
        sample=None if calibration is None else calibration.sample,
        notes=tuple(measure.notes),
    )
    return plan if known is None else _corrected(plan, known, rehearsals)


def _binding(found: Rehearsal) -> Binding:
    # A budget that nothing fits is never waited for.
    if found.stopped is StopCause.BUDGET and not found.attempts:
        return Binding.BUDGET
    return binding_of(found.waits_s)


def _corrected(plan: Plan, known: Calibration, rehearsals: list[Rehearsal]) -> Plan:
    """Return a plan with what a sample has told."""
    assume, changes = plan.assumptions, dict[str, Any]()
    if known.bytes_per_token is not None:
        changes["input_tokens"] = round(
            plan.input_tokens * assume.bytes_per_token / known.bytes_per_token
        )
        assume = attrs.evolve(assume, bytes_per_token=known.bytes_per_token)
    if known.output_ratio is not None:
        total, ratio = plan.output_tokens, known.output_ratio
        changes["output_tokens"] = round(total * ratio.value)
        changes["output_rule"] = f"as {known.sample.answered} sampled answers had it"
        assume = attrs.evolve(assume, output_tokens=max(total * ratio.value / plan.requests, 1e-9))
        if ratio.interval is not None:
            low, high = ratio.interval
            changes["output_tokens_interval"] = (math.floor(total * low), math.ceil(total * high))
    if known.cost_ratio is not None and plan.cost_usd is not None:
        changes["cost_usd"] = _times(plan.cost_usd, known.cost_ratio.value)
        if known.cost_ratio.interval is not None:
            low, high = known.cost_ratio.interval
            changes["cost_interval_usd"] = (
                _times(plan.cost_usd, low),
                _times(plan.cost_usd, high),
            )
    if len(rehearsals) > 1:
        changes["makespan_interval_s"] = _time_interval(known, rehearsals)
        changes["confidence"] = CONFIDENCE
    return attrs.evolve(plan, assumptions=assume, **changes)


def _time_interval(known: Calibration, rehearsals: list[Rehearsal]) -> tuple[float, float]:
    """Return between what times a job ends, whose sending and whose last answers vary."""
    sending = [found.makespan_s - found.tail_s for found in rehearsals]
    soon, late = zip(
        *(
            tail_of(
                known.seen,
                found.in_flight,
                at_once=found.in_flight >= found.attempts,
                dice=dice_of(f"tail {number}"),
            )
            for number, found in enumerate(rehearsals)
        ),
        strict=True,
    )
    expected = rehearsals[0].makespan_s
    return min(expected, min(sending) + min(soon)), max(expected, max(sending) + max(late))


def _times(amount: Decimal, ratio: float) -> Decimal:
    return (amount * Decimal(repr(ratio))).quantize(EXACT_DECIMALS)
