"""Plans as people and programs read them: a table with what it rests on, or lines of JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import attrs
import msgspec

from trillium._money.amounts import shown
from trillium.cli.summary import counted, duration
from trillium.cli.terminal import printable
from trillium.plans import Plan

HEAD: Final = (
    ("tokens", "tokens", "", "at", "", "bound"),
    ("in", "out", "cost", "most", "time", "by"),
)
GAP: Final = "  "


def as_json(plan: Plan) -> str:
    """Return a plan as a line of JSON: the fields of `Plan`, amounts exact."""
    fields: dict[str, Any] = attrs.asdict(plan)
    return msgspec.json.Encoder(decimal_format="number").encode(fields).decode() + "\n"


def print_table(plans: Sequence[Plan]) -> None:
    """Print plans side by side, and below what they rest on."""
    from rich.console import Console  # noqa: PLC0415  # only where there is something to show

    console = Console(highlight=False, markup=False, file=sys.stdout)
    console.print(counted(plans[0].requests, "request", "requests"), style="italic")
    for place, line in enumerate(_table(plans, console.width)):
        style = "bold" if place < len(HEAD) else None
        console.print(line.rstrip(), style=style, soft_wrap=True)
    said: dict[str, list[str]] = {}
    for plan in plans:
        for line in _remarks(plan):
            said.setdefault(line, []).append(_name(plan))
    for line, names in said.items():
        whose = "" if len(names) == len(plans) else f"{', '.join(names)}: "
        console.print(printable(whose + line), soft_wrap=True)


def _table(plans: Sequence[Plan], width: int) -> Iterator[str]:
    """Yield a head of two lines and one for each plan; if too wide, names stand above theirs."""
    names = ["", "model", *(printable(_name(plan)) for plan in plans)]
    rows = [*HEAD, *(_figures(plan) for plan in plans)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    figures = [
        GAP.join([*map(str.rjust, row[:-1], widths), row[-1]])  # what binds is not a number
        for row in rows
    ]
    named = max(map(len, names))
    if named + len(GAP) + sum(widths) + len(GAP) * (len(widths) - 1) <= width:
        yield from (f"{name:{named}}{GAP}{row}" for name, row in zip(names, figures, strict=True))
        return
    yield from figures[: len(HEAD)]
    for name, row in zip(names[len(HEAD) :], figures[len(HEAD) :], strict=True):
        yield f"{name}:"
        yield row


def _figures(plan: Plan) -> tuple[str, ...]:
    return (
        f"{plan.input_tokens:,}",
        f"{plan.output_tokens:,}",
        _amount(plan.cost_usd),
        _amount(plan.worst_cost_usd),
        duration(plan.makespan_s),
        plan.binding.value.replace("_", " "),
    )


def _name(plan: Plan) -> str:
    return f"{plan.endpoint}/{plan.model}"


def _amount(amount: Decimal | None) -> str:
    return "unknown" if amount is None else shown(amount)


def _interval(plan: Plan) -> str:
    out, cost, time = plan.output_tokens_interval, plan.cost_interval_usd, plan.makespan_interval_s
    parts = []
    if out is not None:
        parts.append(f"{out[0]:,} to {out[1]:,} tokens out")
    if cost is not None:
        parts.append(f"{shown(cost[0])} to {shown(cost[1])}")
    if time is not None:
        parts.append(f"{duration(time[0])} to {duration(time[1])}")
    return f"nine times in ten: {', '.join(parts)}"


def _remarks(plan: Plan) -> Iterator[str]:
    """Yield what a plan takes for granted, and what is not known."""
    assume, sample = plan.assumptions, plan.sample
    if plan.confidence is not None:
        yield _interval(plan)
    if sample is not None:
        cost = "of unknown cost" if sample.cost_usd is None else shown(sample.cost_usd)
        yield (
            f"{counted(sample.asked, 'prompt', 'prompts')} asked, "
            f"{sample.answered:,} answered, {cost}"
        )
    yield f"length of answers: {plan.output_rule}"
    if sample is None or sample.latency_s is None:
        yield (
            f"assumed: {assume.bytes_per_token:g} bytes per token, "
            f"{assume.first_token_s:g} s to the first token, then {assume.tokens_per_second:g} "
            "tokens per second"
        )
    else:
        yield (
            f"seen: {assume.bytes_per_token:.3g} bytes per token, "
            f"{sample.latency_s:.3g} s for an answer"
        )
    if assume.error_rate:
        yield f"assumed: {assume.error_rate:.0%} of attempts fail"
    if plan.rehearsed < plan.requests:
        yield f"rehearsed with {plan.rehearsed:,} of the requests, and scaled"
    if plan.stopped is not None:
        yield (f"the budget does not last: {plan.completed:,} of {plan.requests:,} are answered")
    for note in plan.notes:
        yield f"{note}"
