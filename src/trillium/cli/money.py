"""Flags about money that several commands take: price lists and budgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final, final

import attrs
from cyclopts import Group, Parameter

from trillium._money.amounts import usd
from trillium._money.budget import Budget
from trillium._money.cost import worst_cost
from trillium.endpoints import Model
from trillium.errors import InvalidRequestError
from trillium.prices import Prices, load_prices

MONEY: Final = Group("What it may cost", sort_key=3)

PriceFiles = Annotated[
    tuple[str, ...],
    Parameter(
        name="--prices",
        group=MONEY,
        metavar="FILE",
        negative=(),
        show_default=False,
        help="A price list of your own (TOML), which goes first; may be given several times.",
    ),
]


def _is_amount(_: Any, value: str | None) -> None:
    if value is not None:
        try:
            usd(value)
        except InvalidRequestError as error:
            raise ValueError(str(error)) from None


@final
@attrs.frozen(kw_only=True)
class Money:
    """What a run may cost, and what prices are."""

    budget: Annotated[
        str | None,
        Parameter(
            group=MONEY,
            metavar="USD",
            help="What the run may cost, in US dollars: never passed. It stops when what is left "
            "does not hold the most that the next request can cost.",
            validator=_is_amount,
        ),
    ] = None
    soft_budget: Annotated[
        str | None,
        Parameter(
            group=MONEY,
            metavar="USD",
            help="The same, reckoned with what most answers cost so far: faster near the end, and "
            "may be passed a little.",
            validator=_is_amount,
        ),
    ] = None
    prices: PriceFiles = ()

    def load_prices(self) -> Prices:
        """Return the prices in use.

        Raises:
            InvalidInputError: A file that is no price list.
        """
        return load_prices(*self.prices)

    def open_budget(self) -> Budget | None:
        """Return a new budget, if one is asked for.

        Raises:
            InvalidRequestError: Two are.
        """
        if self.budget is not None and self.soft_budget is not None:
            raise InvalidRequestError("give either --budget or --soft-budget")
        if self.soft_budget is not None:
            return Budget(usd(self.soft_budget), soft=True)
        return None if self.budget is None else Budget(usd(self.budget))

    def check(self, asked: Model, prices: Prices) -> Callable[[str, bytes], Decimal | None]:
        """Return what refuses a request that no budget can hold, before anything is sent.

        Args:
            asked: The model of requests that name none.
            prices: Those in use.

        Raises:
            InvalidRequestError: No price is known for the model.
        """
        if self.budget is None and self.soft_budget is None:
            return lambda _model, _body: None
        endpoint, now = asked.endpoint, time.time()
        if prices.tariff(endpoint, asked.name) is None:
            raise InvalidRequestError(
                f"no price is known for {endpoint.name}/{asked.name}, so no budget can hold it: "
                "write one into a file, and give it with --prices"
            )
        return lambda model, body: worst_cost(prices.tariff(endpoint, model), body, now=now)


MONEYLESS: Final = Money()
