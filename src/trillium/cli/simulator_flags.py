"""The flags of `trillium simulate`, and the settings that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, final

import attrs
from cyclopts import Group, Parameter

from trillium.cli.flags import is_above_zero, is_count, is_not_negative, is_share
from trillium.errors import InvalidRequestError
from trillium.simulator import (
    DEFAULT_KEY,
    FaultKind,
    Faults,
    HeaderStyle,
    SimulatedQuota,
    SimulatorSettings,
    TokenCharge,
)

ANSWERS: Final = Group("What it answers", sort_key=1)
FAULTS: Final = Group("What goes wrong", sort_key=2)
LIMITS: Final = Group("What it permits", sort_key=3)

KINDS: Final = ", ".join(kind.value for kind in FaultKind)

Limit = Annotated[int | None, Parameter(group=LIMITS, metavar="N", validator=is_count)]
Spread = Annotated[float, Parameter(group=ANSWERS, metavar="X", validator=is_not_negative)]
Wait = Annotated[float, Parameter(metavar="S", validator=is_not_negative)]
Interval = Annotated[float | None, Parameter(group=FAULTS, metavar="S", validator=is_above_zero)]

_LIKE: Final = SimulatorSettings()
"""What a simulator is like that nobody told anything."""


@final
@attrs.frozen(kw_only=True)
class Answering:
    """The models, their answers, and their pace."""

    latency: Annotated[
        Wait, Parameter(group=ANSWERS, help="Median seconds to the first token.")
    ] = _LIKE.latency_s
    latency_spread: Annotated[
        Spread,
        Parameter(help="How much latencies differ: the standard deviation of their logarithm."),
    ] = _LIKE.latency_spread
    tokens_per_second: Annotated[
        float | None,
        Parameter(
            group=ANSWERS,
            metavar="N",
            help="Pace of the tokens after the first; by default all come at once.",
            validator=is_above_zero,
        ),
    ] = _LIKE.tokens_per_second
    output_tokens: Annotated[
        int,
        Parameter(
            group=ANSWERS,
            metavar="N",
            help="Median length of an answer, in tokens.",
            validator=is_count,
        ),
    ] = _LIKE.output_tokens
    output_spread: Annotated[
        Spread, Parameter(help="How much lengths differ, as latencies do.")
    ] = _LIKE.output_spread
    cached_share: Annotated[
        float,
        Parameter(
            group=ANSWERS,
            metavar="X",
            help="Share of the input that is said to be cached, from 0 to 1.",
            validator=is_share,
        ),
    ] = _LIKE.cached_share
    model: Annotated[
        tuple[str, ...],
        Parameter(
            group=ANSWERS,
            metavar="NAME",
            negative=(),
            show_default=False,
            help="A model that there is; may be repeated. By default any name will do.",
        ),
    ] = ()
    seed: Annotated[
        int,
        Parameter(group=ANSWERS, metavar="N", help="Of all dice: the same seed, the same fate."),
    ] = _LIKE.seed
    key: Annotated[
        tuple[str, ...],
        Parameter(
            group=ANSWERS,
            metavar="KEY",
            negative=(),
            show_default=False,
            help="A key that it accepts, made up for it and no secret; may be repeated. "
            f"By default {DEFAULT_KEY}.",
        ),
    ] = ()
    any_key: Annotated[
        bool, Parameter(group=ANSWERS, negative=(), show_default=False, help="Accept any key.")
    ] = False


@final
@attrs.frozen(kw_only=True)
class Failing:
    """What befalls requests, and how often."""

    fault: Annotated[
        tuple[str, ...],
        Parameter(
            group=FAULTS,
            metavar="KIND=SHARE",
            negative=(),
            show_default=False,
            help="How often a fault befalls a request, such as rate_limited=0.1; may be repeated. "
            f"Kinds: {KINDS}.",
        ),
    ] = ()
    retry_after: Annotated[
        Wait, Parameter(group=FAULTS, help="Seconds that a rate_limited fault asks to wait.")
    ] = _LIKE.faults.retry_after_s
    drip: Annotated[Wait, Parameter(group=FAULTS, help="Seconds that a drip fault takes.")] = (
        _LIKE.faults.drip_s
    )
    keep_alive: Annotated[
        Interval,
        Parameter(help="Seconds between the keep-alives of a stream that waits; else none."),
    ] = _LIKE.keep_alive_s
    idle_close: Annotated[
        Interval,
        Parameter(help="Seconds after which an idle connection is closed; else it is kept."),
    ] = _LIKE.idle_close_s


@final
@attrs.frozen(kw_only=True)
class Permitting:
    """Its limits, and in whose words it tells them."""

    header_style: Annotated[
        HeaderStyle,
        Parameter(
            group=LIMITS, help="Whose headers tell the limits, also on a rate_limited fault."
        ),
    ] = _LIKE.header_style
    requests_per_second: Annotated[Limit, Parameter(help="Requests per second.")] = None
    requests_per_minute: Annotated[Limit, Parameter(help="Requests per minute.")] = None
    requests_per_day: Annotated[Limit, Parameter(help="Requests per day.")] = None
    tokens_per_minute: Annotated[
        Limit, Parameter(help="Tokens per minute, input and output together.")
    ] = None
    input_tokens_per_minute: Annotated[Limit, Parameter(help="Input tokens per minute.")] = None
    output_tokens_per_minute: Annotated[Limit, Parameter(help="Output tokens per minute.")] = None
    concurrent: Annotated[Limit, Parameter(help="Requests that may be under way at once.")] = None
    burst: Annotated[
        float | None,
        Parameter(
            group=LIMITS,
            metavar="S",
            help="How much may come at once, as seconds of each limit; else its whole second, "
            "minute or day.",
            validator=is_above_zero,
        ),
    ] = None
    fill: Annotated[
        float | None,
        Parameter(
            group=LIMITS,
            metavar="S",
            help="Seconds from one refill of its limits to the next; else continuously.",
            validator=is_above_zero,
        ),
    ] = None
    charge: Annotated[
        TokenCharge,
        Parameter(
            group=LIMITS,
            help="What counts as tokens: reserved (the input and max_tokens), the larger of these, "
            "or used (produced).",
        ),
    ] = _LIKE.quota.charge
    count_refused: Annotated[
        bool,
        Parameter(
            group=LIMITS, negative=(), show_default=False, help="Refused requests count as well."
        ),
    ] = _LIKE.quota.count_refused


ANSWERING: Final = Answering()
FAILING: Final = Failing()
PERMITTING: Final = Permitting()


def simulator_settings(
    answering: Answering, failing: Failing, permitting: Permitting
) -> SimulatorSettings:
    """Return the settings that flags stand for.

    Raises:
        InvalidRequestError: A value out of its range, or flags that do not fit together.
    """
    if answering.any_key and answering.key:
        raise InvalidRequestError("give either --key or --any-key")
    return SimulatorSettings(
        seed=answering.seed,
        keys=None if answering.any_key else answering.key or (DEFAULT_KEY,),
        models=answering.model or None,
        latency_s=answering.latency,
        latency_spread=answering.latency_spread,
        tokens_per_second=answering.tokens_per_second,
        output_tokens=answering.output_tokens,
        output_spread=answering.output_spread,
        cached_share=answering.cached_share,
        keep_alive_s=failing.keep_alive,
        idle_close_s=failing.idle_close,
        header_style=permitting.header_style,
        faults=Faults(
            retry_after_s=failing.retry_after, drip_s=failing.drip, **_shares(failing.fault)
        ),
        quota=SimulatedQuota(
            requests_per_second=permitting.requests_per_second,
            requests_per_minute=permitting.requests_per_minute,
            requests_per_day=permitting.requests_per_day,
            tokens_per_minute=permitting.tokens_per_minute,
            input_tokens_per_minute=permitting.input_tokens_per_minute,
            output_tokens_per_minute=permitting.output_tokens_per_minute,
            concurrent=permitting.concurrent,
            burst_s=permitting.burst,
            fill_s=permitting.fill,
            charge=permitting.charge,
            count_refused=permitting.count_refused,
        ),
    )


def _shares(faults: Sequence[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for fault in faults:
        kind, _, share = fault.partition("=")
        if kind not in {known.value for known in FaultKind}:
            raise InvalidRequestError(f"--fault {fault}: no such kind; there are {KINDS}")
        if kind in shares:
            raise InvalidRequestError(f"--fault {kind} is there twice")
        try:
            shares[kind] = float(share)
        except ValueError:
            msg = f"--fault {fault}: write KIND=SHARE, such as {kind}=0.1"
            raise InvalidRequestError(msg) from None
    return shares
