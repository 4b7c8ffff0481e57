"""How a batch is to be run."""

from __future__ import annotations

from typing import final

import attrs

from trillium._batch.record import Record
from trillium._batch.reuse import Reuse
from trillium._money.budget import Purse
from trillium.observers import Observer
from trillium.timeouts import Timeouts


@final
@attrs.frozen(kw_only=True, repr=False)
class BatchOptions:
    """How a batch is to be run."""

    concurrency: int | None
    """Attempts of this batch in flight at once, at most; None: the endpoint's own bound alone."""
    adaptive: bool = attrs.field(default=False, kw_only=True)
    """Whether `concurrency` is only where it begins: it is found by trying."""
    expected_concurrency: int
    """How many can be in flight, for the size of the window."""
    ordered: bool
    """Give outcomes in the order of the source; else as they complete."""
    timeouts: Timeouts
    deadline_s: float | None
    """Seconds from entering the block."""
    observer: Observer | None
    purse: Purse | None = None
    """The budgets that each attempt is paid from."""
    goes_on_with_the_cheaper: bool = False
    """Whether a request that the budget does not hold ends those of its own route alone."""
    record: Record | None = None
    """The journal that each outcome is written to before it is given out."""
    reuse: Reuse | None = None
    """What knows of requests that need not be asked."""


def concurrency_of(
    told: int | None, bound: int | None, *, begin_with: int
) -> tuple[int | None, bool, int]:
    """Return a batch's `concurrency`, whether it is `adaptive`, and its `expected_concurrency`.

    Args:
        told: What the user said of the batch.
        bound: What the user said of each endpoint.
        begin_with: Where a batch begins of which neither was said.
    """
    adaptive = told is None and bound is None
    if adaptive:
        return begin_with, True, begin_with
    return told, False, min(n for n in (told, bound) if n is not None)
