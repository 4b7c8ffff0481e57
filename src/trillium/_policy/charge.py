"""What one request takes of a provider's limits: reserved at the send, settled by its usage.

```text
SUM      input + max_tokens, not given back; without max_tokens, the output that came
LARGER   max(max_tokens, input), not given back
USED     input that was not cached + the output that came; until then, what answers usually have
```

Each provider's rule is a column of the provider table.
"""

from __future__ import annotations

import math
from typing import Final, final

import attrs

from trillium._policy.quota_bucket import Amounts, Bucket
from trillium._policy.token_estimate import RequestSize, TokenEstimate
from trillium.limits import ChargeRule

NO_AMOUNTS: Final[Amounts] = (1.0, 0.0, 0.0, 0.0, 1.0)
"""Of a request whose tokens were not looked at."""


@final
@attrs.define(eq=False, repr=False)
class Charge:
    """What one attempt takes; made anew for each."""

    size: RequestSize | None = None
    """None where tokens were not looked at."""
    amounts: Amounts = NO_AMOUNTS
    taken_at: float = -math.inf
    """When it was last taken."""
    marks: list[tuple[Bucket, float, float, float]] = attrs.field(factory=list)
    """From which bucket how much was taken, what was missing from it then, what it had `sent`."""
    open: bool = False
    """Whether it is taken and its end is not known yet."""


def reserved(rule: ChargeRule, size: RequestSize, estimate: TokenEstimate) -> Amounts:
    """Return what a request takes, as far as can be known before it is answered."""
    given = estimate.input_tokens(size)
    most = size.max_tokens
    if rule is ChargeRule.USED:
        usual = estimate.output_tokens
        out = usual if most is None or usual < most else float(most)
        return (1.0, given + out, given, out, 1.0)
    if rule is ChargeRule.LARGER:
        out = 0.0 if most is None else float(most)
        return (1.0, max(given, out), given, out, 1.0)
    out = estimate.output_tokens if most is None else float(most)
    return (1.0, given + out, given, out, 1.0)


def settled(rule: ChargeRule, size: RequestSize, tokens: tuple[int, int, int]) -> Amounts:
    """Return what an answered request took.

    Args:
        rule: The provider's.
        size: The request's.
        tokens: Input, output and cached tokens as the provider counted them.
    """
    given, out, cached = tokens
    most = size.max_tokens
    if rule is ChargeRule.USED:
        given -= cached
        total = given + out
    elif rule is ChargeRule.LARGER:
        total = given if most is None else max(given, most)
        out = 0 if most is None else most
    else:
        out = out if most is None else most
        total = given + out
    return (1.0, float(total), float(given), float(out), 1.0)
