"""How one model is billed over time: rates that hold from a day on, or at hours of the day.

Of the rates that are in force the last one listed holds, as in genai-prices; a variant (batch
APIs, service tiers) replaces single rates of it. Days and hours are UTC.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, final

import attrs

from trillium._money.rates import Priced, Rates, rates_of
from trillium.completions import Usage

DAY_S: Final = 86_400
BATCH: Final = "batch"
"""The variant of providers' batch APIs; the others go by the name of a service tier."""
ANY_TIER: Final = "auto"
"""A service tier that leaves it to the account which one it is."""


@final
@attrs.frozen(eq=False, repr=False)
class Period:
    """Rates, and when they are in force."""

    priced: Priced
    from_day: date | None = None
    """The first day; None is since ever."""
    hours: tuple[int, int] | None = None
    """Seconds of the day, from and until, over midnight if the first is the later."""

    def is_active(self, now: float) -> bool:
        """Whether it is in force at a Unix time."""
        if self.from_day is not None and now < _midnight(self.from_day):
            return False
        if self.hours is None:
            return True
        start, end = self.hours
        second = now % DAY_S
        return start <= second < end if start <= end else second >= start or second < end

    def changes_after(self, now: float) -> float:
        """Return a time up to which nothing changes: the next start, or end of its hours."""
        changes = [math.inf]
        if self.from_day is not None and now < _midnight(self.from_day):
            changes.append(_midnight(self.from_day))
        if self.hours is not None:
            today = now - now % DAY_S
            edges = [today + DAY_S, *(today + edge for edge in self.hours)]
            changes += [edge for edge in edges if edge > now]
        return min(changes)


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


@final
@attrs.frozen(eq=False, repr=False)
class Variant:
    """Rates that replace the standard ones in a batch API or a service tier."""

    name: str
    period: Period


@final
@attrs.define(eq=False, repr=False, kw_only=True)
class Tariff:
    """How one model at one provider is billed; finds the rates in force once for each change."""

    provider: str
    model: str
    """The row's own name, which may be shorter than the one that was asked for."""
    source: str
    """Where the rates are from, and of which day: for people."""
    periods: tuple[Period, ...]
    variants: tuple[Variant, ...] = ()
    context_tokens: int | None = None
    """The model's context window."""
    max_output_tokens: int | None = None
    """The longest answer that the model can give, where that is known."""
    before: Tariff | None = None
    """How it is billed until the first day of the first period."""
    _known: dict[str | None, Rates] = attrs.field(factory=dict, init=False, repr=False)
    _known_from: float = attrs.field(default=math.inf, init=False, repr=False)
    _known_until: float = attrs.field(default=-math.inf, init=False, repr=False)

    def cost(self, usage: Usage, *, now: float, variant: str | None = None) -> Decimal:
        """Return what a request cost, in USD, exactly.

        Args:
            usage: As the provider counted it.
            now: Unix time.
            variant: The service tier as the provider told it; an unknown one is the standard.
        """
        if self._known_from <= now < self._known_until:
            rates = self._known.get(variant)
            if rates is not None:
                return rates.cost(usage)
        return self.rates(now, variant=variant).cost(usage)

    def rates(self, now: float, *, variant: str | None = None) -> Rates:
        """Return the rates in force at a Unix time."""
        if not self._known_from <= now < self._known_until:
            self._known.clear()
            self._known_from = now
            self._known_until = self._changes_after(now)
        found = self._known.get(variant)
        if found is None:
            found = self._known[variant] = rates_of(self._priced(now, variant))
        return found

    def worst_cost(
        self, input_tokens: int, output_tokens: int, *, now: float, variant: str | None = None
    ) -> Decimal:
        """Return what a request of at most these tokens costs at most, in USD.

        Looks a day ahead, since it may be answered when other rates are in force.

        Args:
            input_tokens: A bound on them.
            output_tokens: A bound on them.
            now: Unix time.
            variant: The service tier that is asked for; `auto` is the dearest there is.
        """
        variants = [variant]
        if variant == ANY_TIER:
            variants = [None, *{v.name for v in self.variants}]
        return max(
            rates.worst_cost(input_tokens, output_tokens)
            for name in variants
            for rates in self._within_a_day(now, name)
        )

    def _within_a_day(self, now: float, variant: str | None) -> list[Rates]:
        found = [self.rates(now, variant=variant)]
        at, end = self._known_until, now + DAY_S
        while at < end:
            found.append(rates_of(self._priced(at, variant)))
            at = self._changes_after(at)
        return found

    def _changes_after(self, now: float) -> float:
        periods = [*self.periods, *(variant.period for variant in self.variants)]
        until = min(period.changes_after(now) for period in periods)
        return until if self.before is None else min(until, self.before._changes_after(now))

    @property
    def _begins_at(self) -> float:
        first = self.periods[0].from_day
        return -math.inf if first is None else _midnight(first)

    def _priced(self, now: float, variant: str | None) -> Priced:
        if self.before is not None and self._begins_at > now:
            return self.before._priced(now, variant)
        standard = self.periods[0].priced
        for period in self.periods:
            if period.is_active(now):
                standard = period.priced
        found: dict[str, object] = {}
        for one in self.variants:
            if one.name == variant and one.period.is_active(now):
                found = {**one.period.priced, **found}
        return {**standard, **found} if found else standard
