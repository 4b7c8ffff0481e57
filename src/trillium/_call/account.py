"""The money of one call on trio: held before each of its attempts, and settled after it."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import final

import attrs
import trio

from trillium._call.route import Route
from trillium._call.routes import Routes
from trillium._money.amounts import EXACT, ZERO
from trillium._money.budget import HELD, WAITING, Budget, Claim, Purse
from trillium.completions import Answer
from trillium.endpoints import Model
from trillium.errors import Fault, InvalidRequestError


@final
@attrs.define(eq=False, repr=False)
class Account:
    """A call's claim, and the purse that it is made to."""

    purse: Purse
    claim: Claim

    async def wait_held(self) -> bool:
        """Wait until the worst case of an attempt is held; False if the budget never has it.

        Cancelled, nothing is held; one that is granted at the instant of a cancellation is held,
        as with `Gate.wait_held`. A checkpoint only where it has to wait.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        claim = self.claim
        if self.purse.request(claim) is WAITING:
            task = trio.lowlevel.current_task()
            claim.granted = functools.partial(trio.lowlevel.reschedule, task)

            def withdraw(_: object) -> trio.lowlevel.Abort:
                self.purse.close(claim)  # a newer one may have waited behind it
                return trio.lowlevel.Abort.SUCCEEDED

            await trio.lowlevel.wait_task_rescheduled(withdraw)
        return claim.state is HELD

    def settle(self, found: Answer | Fault, *, cost: Decimal | None, abandoned: int) -> None:
        """Turn what is held for the attempt that has ended into what it cost.

        Args:
            found: What came of it.
            cost: Of the answer, in USD; None where it is not known: then the worst case is.
            abandoned: How many of its sends may have been billed without an answer.
        """
        claim = self.claim
        if isinstance(found, Answer):
            spent = claim.worst if cost is None else cost
        else:
            spent = claim.worst if found.possibly_billed or abandoned else ZERO
        self.purse.settle(claim, spent)
        self.purse.wake()

    def let_go(self) -> None:
        """End the claim as `close` does; whoever calls this wakes the purse."""
        self.purse.end(self.claim)

    def close(self) -> None:
        """End the claim wherever it is; an attempt without an end is spent at its worst case."""
        self.purse.close(self.claim)


def open_account(purse: Purse, route: Route, body: bytes, *, age: int) -> Account:
    """Return the account of a call.

    Args:
        purse: Whose budgets it is to be paid from.
        route: Where it goes.
        body: What is to be sent.
        age: Of its ticket.

    Raises:
        InvalidRequestError: No price is known, or no bound.
    """
    return Account(purse, Claim(age, route.worst_cost(body)))


def open_purse(
    own: Budget | None, client: Budget | None, routes: Routes, model: str | Model | None
) -> Purse | None:
    """Return what a batch is paid from: its own budget, and the client's; None without any.

    Args:
        own: The batch's.
        client: The client's.
        routes: The client's.
        model: What is asked by requests that name no model; None is the client's default.

    Raises:
        InvalidRequestError: No price is known for it.
    """
    budgets = tuple(budget for budget in (own, client) if budget is not None)
    if not budgets:
        return None
    if model is not None or routes.default_model is not None:
        route = routes.route(model)
        if route.tariff is None:
            raise InvalidRequestError(
                f"no price is known for {route.station.endpoint.name}/{route.model}, so no budget "
                "can hold it: give one with prices=load_prices(FILE)"
            )
    return Purse(budgets)


def possibly_billed(route: Route, body: bytes, abandoned: int) -> Decimal | None:
    """Return what so many abandoned sends cost at most, in USD; None where that is not known."""
    if not abandoned:
        return ZERO
    try:
        return EXACT.multiply(route.worst_cost(body), abandoned)
    except InvalidRequestError:
        return None
