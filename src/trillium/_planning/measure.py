"""What is known of a job before anything is sent: its requests are read once, and measured.

Sums are of all requests; of the requests themselves no more is kept than a rehearsal needs, and
a sample. So memory does not depend on the job.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from decimal import Decimal
from typing import Final, Generic, TypeVar, final

import attrs
import trio

from trillium._call.route import Route
from trillium._money.amounts import EXACT, ZERO
from trillium._money.cost import worst_tokens
from trillium._policy.token_estimate import size_of
from trillium.completions import Usage
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request, as_request
from trillium.plans import OUTPUT_SHARE, OUTPUT_TOKENS, Assumptions

AT_ONCE: Final = 64
"""How many requests are measured before other tasks have a turn; one takes some 30 µs."""

CLOSE_GRACE_S: Final = 1.0
"""How long an async generator that was not read to its end may take to close."""

ItemT = TypeVar("ItemT")


@final
@attrs.frozen(kw_only=True)
class Outline:
    """A request as a rehearsal sees it."""

    text_bytes: int
    max_tokens: int | None
    input_tokens: int
    output_tokens: int
    """Both as expected."""


@final
@attrs.define(eq=False, repr=False)
class Reservoir(Generic[ItemT]):
    """So many of a stream of unknown length, each with the same chance; in their order."""

    size: int
    dice: random.Random
    seen: int = attrs.field(default=0, init=False)
    _kept: list[tuple[int, ItemT]] = attrs.field(factory=list, init=False)

    def add(self, item: ItemT) -> None:
        """Take an item, or leave it (algorithm R)."""
        place = self.seen
        self.seen += 1
        if place < self.size:
            self._kept.append((place, item))
            return
        chosen = self.dice.randrange(self.seen)
        if chosen < self.size:
            self._kept[chosen] = (place, item)

    @property
    def items(self) -> list[ItemT]:
        """What was kept."""
        return [item for _, item in sorted(self._kept, key=lambda kept: kept[0])]


@final
@attrs.define(eq=False, repr=False)
class Measure:
    """The sums of a job with one model."""

    route: Route
    assumptions: Assumptions
    requests: Reservoir[Outline]
    input_tokens: int = attrs.field(default=0, init=False)
    output_tokens: int = attrs.field(default=0, init=False)
    worst_tokens: tuple[int, int] | None = attrs.field(default=(0, 0), init=False)
    cost_usd: Decimal | None = attrs.field(default=ZERO, init=False)
    worst_cost_usd: Decimal | None = attrs.field(default=ZERO, init=False)
    rules: set[str] = attrs.field(factory=set, init=False)
    """How the expected lengths of answers were found."""
    notes: dict[str, None] = attrs.field(factory=dict, init=False)
    """What is not known, and why; each once."""
    _input_exact: float = attrs.field(default=0.0, init=False)
    _output_exact: float = attrs.field(default=0.0, init=False)
    _now: float = attrs.field(factory=time.time, init=False)

    def add(self, request: Request, route: Route, body: bytes) -> None:
        """Measure a request.

        Args:
            request: What is asked.
            route: Where it goes, which it may say itself.
            body: What would be sent.
        """
        size = size_of(request)
        given, out = self._whole(
            size.text_bytes / self.assumptions.bytes_per_token + size.other_tokens,
            self.expected_output(request.max_tokens, route),
        )
        outline = Outline(
            # Images have no bytes in a rehearsal: text of as many tokens stands for them.
            text_bytes=size.text_bytes
            + round(size.other_tokens * self.assumptions.bytes_per_token),
            max_tokens=request.max_tokens,
            input_tokens=given,
            output_tokens=out,
        )
        self.requests.add(outline)
        self._count_cost(route, given, out)
        self._count_worst(route, body)

    def expected_output(self, max_tokens: int | None, route: Route) -> float:
        """Return how long an answer is expected to be, in tokens."""
        told = self.assumptions.output_tokens
        if told is not None:
            self.rules.add(f"{told:g} tokens, as told, and never above max_tokens")
            return told if max_tokens is None else min(told, max_tokens)
        if max_tokens is not None:
            self.rules.add(f"{OUTPUT_SHARE:.0%} of max_tokens")
            return max_tokens * OUTPUT_SHARE
        most = None if route.tariff is None else route.tariff.max_output_tokens
        usual = OUTPUT_TOKENS if most is None else min(OUTPUT_TOKENS, most)
        self.rules.add(f"{usual:g} tokens where there is no max_tokens")
        return usual

    def _whole(self, given: float, out: float) -> tuple[int, int]:
        """Return whole numbers of tokens, whose sums are off by less than one."""
        before_in, before_out = round(self._input_exact), round(self._output_exact)
        self._input_exact += given
        self._output_exact += out
        self.input_tokens, self.output_tokens = round(self._input_exact), round(self._output_exact)
        return self.input_tokens - before_in, self.output_tokens - before_out

    def _count_cost(self, route: Route, given: int, out: int) -> None:
        if route.tariff is None:
            self.cost_usd = None
            name = f"{route.station.endpoint.name}/{route.model}"
            self.notes[f"no price is known for {name}: write one into a price list"] = None
        elif self.cost_usd is not None:
            usage = Usage(input_tokens=given, output_tokens=out)
            cost = route.tariff.cost(usage, now=self._now)
            self.cost_usd = EXACT.add(self.cost_usd, cost)

    def _count_worst(self, route: Route, body: bytes) -> None:
        worst = self.worst_tokens
        if worst is None:
            return
        try:
            given, out = worst_tokens(route.tariff, body)
        except InvalidRequestError as error:
            self.worst_tokens = self.worst_cost_usd = None
            self.notes[f"the worst case: {error}"] = None
            return
        self.worst_tokens = (worst[0] + given, worst[1] + out)
        if route.tariff is None:
            self.worst_cost_usd = None
        elif self.worst_cost_usd is not None:
            self.worst_cost_usd = EXACT.add(self.worst_cost_usd, route.worst_cost(body))


Prompts = Iterable[str | Message | Request] | AsyncIterable[str | Message | Request]


async def measure_all(
    prompts: Prompts,
    measures: list[Measure],
    *,
    route_of: Callable[[Request], Route],
    sample: Reservoir[Request],
) -> int:
    """Read a job to its end, and measure it for each of several models; return its length.

    Args:
        prompts: The job.
        measures: One for each model.
        route_of: Where a request goes that names its model.
        sample: What is to be asked really is taken into it.

    Raises:
        InvalidRequestError: A request cannot be sent as it is; it says which.
    """
    count = 0

    def take(prompt: str | Message | Request) -> None:
        request = as_request(prompt)
        try:
            for measure in measures:
                route = measure.route if request.model is None else route_of(request)
                measure.add(request, route, route.encode(request, stream=False))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"request {count}: {error}") from None
        sample.add(request)

    await trio.lowlevel.checkpoint()
    if isinstance(prompts, AsyncIterable):
        iterator = aiter(prompts)
        try:
            async for prompt in iterator:  # noqa: ASYNC912  # there is one before it
                take(prompt)
                count += 1
        finally:
            if isinstance(iterator, AsyncGenerator):
                with trio.move_on_after(CLOSE_GRACE_S, shield=True):
                    await iterator.aclose()
        return count
    for prompt in prompts:
        take(prompt)
        count += 1
        if not count % AT_ONCE:
            await trio.lowlevel.checkpoint()
    return count
