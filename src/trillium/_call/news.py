"""What an observer is told of limits and money, as attempts start and end.

Only where there is an observer: what it is told is found by comparing before and after.
"""

from __future__ import annotations

from typing import Final

from trillium._call.attempt import Attempt
from trillium._call.charges import settle
from trillium._call.route import Route
from trillium._money.budget import Purse
from trillium._policy.admission import Ticket
from trillium._policy.quota import report_of
from trillium.completions import Answer
from trillium.errors import ErrorKind, Fault
from trillium.observers import BudgetReport, Observer

LEFT: Final = Fault(
    kind=ErrorKind.CANCELLED,
    message="whoever asked cancelled it, or left its stream",
    possibly_billed=True,
)
"""What is told of an attempt that was still under way when its call was let go."""


def settle_and_tell(
    observer: Observer,
    route: Route,
    ticket: Ticket,
    attempt: Attempt,
    found: Answer | Fault,
    *,
    sent_at: float,
    now: float,
) -> None:
    """Settle an attempt as `settle` does, and tell what it has shown of the limits."""
    meter = ticket.meter
    assert meter is not None
    amounts = {bucket: bucket.amount for bucket in meter.buckets}
    held_until = meter.held_until
    settle(ticket, attempt, found, sent_at=sent_at, now=now)
    endpoint = route.station.endpoint.name
    for bucket in meter.buckets:
        if amounts.get(bucket) != bucket.amount:
            model = None if bucket in meter.shared else route.model
            observer.limit_learnt(report_of(bucket, endpoint, model, now))
    if meter.held_until > max(held_until, now):
        delay_s = meter.held_until - now
        observer.held_back(endpoint=endpoint, model=route.model, delay_s=delay_s)


def tell_budgets(observer: Observer, purse: Purse) -> None:
    """Tell where the budgets of a purse are now."""
    observer.budgets_changed(
        tuple(
            BudgetReport(
                limit_usd=budget.limit_usd, spent_usd=budget.spent_usd, held_usd=budget.held_usd
            )
            for budget in purse.budgets
        )
    )
