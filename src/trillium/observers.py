"""The one callback across the layers: told what happens, never asked.

An observer's methods are plain functions, called where the thing happens; they must be quick
and must not raise. No observer is the default, and costs nothing.
One that subclasses `Observer` need only define what it cares about, and goes on working when
there is more to be told.
"""

# to type checkers, a method of a protocol that only explains is abstract
# ruff: noqa: ARG002  # a method that only explains has to return, or type checkers call it abstract

from __future__ import annotations

from decimal import Decimal
from typing import Protocol, final

import attrs

from trillium.completions import Failure, Outcome
from trillium.errors import Fault
from trillium.limits import LimitReport
from trillium.messages import Request


@final
@attrs.frozen(kw_only=True)
class BudgetReport:
    """A budget at one moment, in USD."""

    limit_usd: Decimal
    """What may be spent."""
    spent_usd: Decimal
    """What was spent; abandoned attempts count with their worst case."""
    held_usd: Decimal
    """What is held for attempts that are under way."""


class Observer(Protocol):
    """What a progress line, a log or a tracer is told. All times are in seconds.

    `index` is a request's place in its batch. A single call (`complete`, `stream`) is
    like a batch of one: its index is 0, and that of others at the same time is 0 too. What tells
    them apart is the id that the request was given, which its outcome has; or a context variable,
    as an observer is called in the context of whoever asked.
    """

    def admitted(self, *, index: int, model: str, endpoint: str) -> None:
        """A request left the queue: its first attempt is about to be sent."""
        return

    def attempt_started(self, *, index: int, attempt: int) -> None:
        """Attempt number `attempt`, from 1, is being sent."""
        return

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:
        """The attempt is over; `fault` is None if it answered.

        One that was cancelled, or whose stream was left before its end, has a fault of kind
        `cancelled`; no outcome follows then, but `cancelled`.
        """
        return

    def chunk(self, *, index: int, characters: int) -> None:
        """A read of a stream brought so many characters."""
        return

    def chunk_gap(self, *, endpoint: str, model: str, gap_s: float) -> None:
        """A read of a stream brought something `gap_s` after the one before.

        A reader that is slow to ask for the next chunk is part of that.
        """
        return

    def retry(self, *, index: int, attempt: int, fault: Fault, delay_s: float) -> None:
        """Attempt `attempt` failed; the next comes after `delay_s` at the earliest."""
        return

    def outcome(self, outcome: Outcome, *, request: Request | None = None) -> None:
        """A request is done, for good or ill; `request` is None if it was never sent.

        What it cost stands in `cost_usd`, and what it may have cost besides in
        `possibly_billed_usd`.
        """
        return

    def cancelled(self, failure: Failure, *, request: Request, first_token_s: float | None) -> None:
        """A request that had been sent was cancelled, or its stream left: it has no outcome.

        Also if it was waiting to be sent again. Nobody else is given `failure`, whose kind is
        `cancelled`. `first_token_s` is that of a stream of which chunks were given out; None if
        there was nothing to show.
        """
        return

    def limit_learnt(self, limit: LimitReport) -> None:
        """The end of an attempt has shown a limit that was not known, or another amount of one."""
        return

    def held_back(self, *, endpoint: str, model: str, delay_s: float) -> None:
        """Nothing more is sent to a model for `delay_s`: it refused a request, or asked to wait."""
        return

    def budgets_changed(self, budgets: tuple[BudgetReport, ...]) -> None:
        """Money was held for an attempt that is sent, or what an attempt cost was settled.

        The batch's own budget comes first, then the client's, if there are both.
        """
        return


@final
class Observers(Observer):
    """Several observers in the place of one: each is told, in the order given."""

    def __init__(self, *observers: Observer) -> None:
        """Tell `observers`."""
        self._observers = observers

    def admitted(self, *, index: int, model: str, endpoint: str) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.admitted(index=index, model=model, endpoint=endpoint)

    def attempt_started(self, *, index: int, attempt: int) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.attempt_started(index=index, attempt=attempt)

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.attempt_ended(index=index, attempt=attempt, fault=fault)

    def chunk(self, *, index: int, characters: int) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.chunk(index=index, characters=characters)

    def chunk_gap(self, *, endpoint: str, model: str, gap_s: float) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.chunk_gap(endpoint=endpoint, model=model, gap_s=gap_s)

    def retry(self, *, index: int, attempt: int, fault: Fault, delay_s: float) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.retry(index=index, attempt=attempt, fault=fault, delay_s=delay_s)

    def outcome(self, outcome: Outcome, *, request: Request | None = None) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.outcome(outcome, request=request)

    def cancelled(self, failure: Failure, *, request: Request, first_token_s: float | None) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.cancelled(failure, request=request, first_token_s=first_token_s)

    def limit_learnt(self, limit: LimitReport) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.limit_learnt(limit)

    def held_back(self, *, endpoint: str, model: str, delay_s: float) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.held_back(endpoint=endpoint, model=model, delay_s=delay_s)

    def budgets_changed(self, budgets: tuple[BudgetReport, ...]) -> None:
        """Hand it on."""
        for observer in self._observers:
            observer.budgets_changed(budgets)
