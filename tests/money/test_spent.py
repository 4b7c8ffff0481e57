"""`cli/summary.py`: what a run cost, in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from trillium._money.cost import BatchCost, Cost
from trillium.cli.summary import spent


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (Cost(), "$0"),
        (Cost(usd=Decimal("12.3456")), "$12.35"),
        (Cost(unknown=3), "unknown"),
        (Cost(usd=Decimal(1), unknown=1), "$1.00, and what 1 request of unknown cost took"),
        (
            Cost(usd=Decimal(1), possibly_billed_usd=Decimal("0.02")),
            "$1.00, and at most $0.02 for what brought no answer",
        ),
    ],
)
def test_what_is_not_known_is_said_and_never_taken_for_nothing(cost: Cost, said: str) -> None:
    assert spent(BatchCost(all=cost)) == said
