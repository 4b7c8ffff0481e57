"""Flags that tell what the endpoint permits per time."""

from __future__ import annotations

from typing import Annotated, Final, final

import attrs
from cyclopts import Group, Parameter

from trillium.cli.flags import is_above_zero
from trillium.limits import Limits

LIMITS: Final = Group("What the endpoint permits", sort_key=3)

Rate = Annotated[float | None, Parameter(group=LIMITS, metavar="N", validator=is_above_zero)]


@final
@attrs.frozen(kw_only=True)
class Permitted:
    """Limits of rate; what is not told is learnt from the answers."""

    requests_per_second: Annotated[Rate, Parameter(help="Requests in a second.")] = None
    requests_per_minute: Annotated[Rate, Parameter(help="Requests in a minute.")] = None
    tokens_per_minute: Annotated[
        Rate, Parameter(help="Tokens in a minute, input and output together.")
    ] = None
    input_tokens_per_minute: Annotated[Rate, Parameter(help="Tokens of input in a minute.")] = None
    output_tokens_per_minute: Annotated[Rate, Parameter(help="Tokens of output in a minute.")] = (
        None
    )
    burst: Annotated[
        Rate,
        Parameter(
            metavar="S",
            help="How much may come at once, as seconds' worth of each limit; by default evenly, "
            "until the answers' headers show more.",
        ),
    ] = None

    def over(self, limits: Limits) -> Limits:
        """Return `limits` with what the flags tell in the place of it."""
        told = {
            "requests_per_second": self.requests_per_second,
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "input_tokens_per_minute": self.input_tokens_per_minute,
            "output_tokens_per_minute": self.output_tokens_per_minute,
            "burst_s": self.burst,
        }
        given = {name: value for name, value in told.items() if value is not None}
        return attrs.evolve(limits, **given)  # type: ignore[arg-type]


PERMITTED: Final = Permitted()
