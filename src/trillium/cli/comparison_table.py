"""A comparison on a terminal: a table as wide as there is room, and what it says in words.

The cheapest model comes first. In each column the best figure is green, and the dearest price red;
what the colours say stands in words below, for who cannot see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, final

import attrs

from trillium._batch.statistics import StopCause
from trillium._money.amounts import shown
from trillium.cli.summary import counted, duration
from trillium.cli.terminal import Line, printable
from trillium.comparison import Comparison, ModelComparison
from trillium.distribution import Distribution
from trillium.errors import quote

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Order = Literal["cost", "latency", "first-token", "speed", "given"]
"""By what models are sorted."""

BEST: Final = "bold green"
WORST: Final = "red"
UNKNOWN: Final = "-"
MIN_NAME: Final = 18
"""Characters that a model's name has at least; one that is longer takes more lines."""
PARTED_BELOW: Final = 6
"""Names take more lines rather than that columns of lower ranks are left out."""
UNBOUNDED: Final = 10_000
"""Characters: a table is measured in it that is not to be squeezed."""
WORTH_SAYING: Final = 1.1
"""A model that takes a tenth longer than another is slower; less may be chance."""

Figure = Callable[[ModelComparison], "float | Decimal | None"]


@final
@attrs.frozen(kw_only=True)
class Column:
    """A column of the table."""

    title: str
    text: Callable[[ModelComparison], str]
    figure: Figure | None = None
    """What its best is found by; None where there is no best."""
    highest: bool = False
    """Whether the best is the highest, and not the lowest."""
    marks_worst: bool = False
    rank: int
    """What has a higher one is left out first where there is no room."""


def seconds(value: float | None) -> str:
    """Return seconds in three digits."""
    if value is None:
        return UNKNOWN
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def speed(value: float | None) -> str:
    """Return tokens per second in three digits."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def share(value: float | None) -> str:
    """Return a share in whole percents; one that is nearly all with a decimal, cut off."""
    if value is None:
        return UNKNOWN
    return f"{int(value * 1000) / 10:.1f} %" if 0.99 < value < 1 else f"{100 * value:.0f} %"


def money(amount: Decimal | None) -> str:
    """Return an amount; what is not known is no zero."""
    return UNKNOWN if amount is None else shown(amount)


def tokens(number: int) -> str:
    """Return a number of tokens, short."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= limit:
            value = number / (1e3 if unit == "k" else limit)
            return f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"
    return f"{number:,}"


def _at(field: str, percent: str) -> Figure:
    def figure(model: ModelComparison) -> float | None:
        spread: Distribution | None = getattr(model, field)
        found: float | None = None if spread is None else getattr(spread, percent)
        return found

    return figure


def _timed(title: str, field: str, percent: str, rank: int) -> Column:
    figure = _at(field, percent)
    return Column(
        title=title,
        text=lambda model: seconds(figure(model)),  # type: ignore[arg-type]  # a float, of these
        figure=figure,
        rank=rank,
    )


def _middle_half(model: ModelComparison) -> str:
    spread = model.output_tokens_per_s
    return UNKNOWN if spread is None else f"{speed(spread.p25)}–{speed(spread.p75)}"


ANSWERED: Final = Column(
    title="\nanswered",
    text=lambda model: f"{model.succeeded:,}/{len(model.samples):,}",
    rank=2,
)
COLUMNS: Final = (
    ANSWERED,
    _timed("latency\np50 s", "latency_s", "p50", 0),
    _timed("\np90", "latency_s", "p90", 1),
    _timed("\np99", "latency_s", "p99", 4),
    _timed("1st token\np50 s", "first_token_s", "p50", 0),
    _timed("\np90", "first_token_s", "p90", 5),
    _timed("\np99", "first_token_s", "p99", 9),
    Column(
        title="tokens/s\nmedian",
        text=lambda model: speed(_at("output_tokens_per_s", "p50")(model)),  # type: ignore[arg-type]  # as above
        figure=_at("output_tokens_per_s", "p50"),
        highest=True,
        rank=0,
    ),
    Column(title="\nmiddle half", text=_middle_half, rank=8),
    Column(title="tokens\nin", text=lambda model: tokens(model.input_tokens), rank=7),
    Column(title="\nout", text=lambda model: tokens(model.output_tokens), rank=6),
    Column(title="\ncost", text=lambda model: money(model.cost_usd), rank=5),
    Column(
        title="cost of\n1,000",
        text=lambda model: money(model.cost_per_1000_requests_usd),
        figure=lambda model: model.cost_per_1000_requests_usd,
        marks_worst=True,
        rank=0,
    ),
    Column(title="\nsaves", text=lambda model: share(model.savings or None), rank=3),
)


def in_order(models: Sequence[ModelComparison], order: Order) -> list[ModelComparison]:
    """Return the models sorted; those whose figure is not known come last.

    Where no cost is known, the order by cost is that by latency.
    """
    latency = _at("latency_s", "p50")
    by: dict[Order, tuple[Figure, ...]] = {
        "cost": (lambda model: model.cost_per_1000_requests_usd, latency),
        "latency": (latency,),
        "first-token": (_at("first_token_s", "p50"), latency),
        "speed": (lambda model: _negative(_at("output_tokens_per_s", "p50")(model)), latency),
        "given": (),
    }

    def key(model: ModelComparison) -> list[tuple[bool, float]]:
        found = [figure(model) for figure in by[order]]
        return [(value is None, float(value or 0)) for value in found]

    return sorted(models, key=key)


def _negative(value: float | Decimal | None) -> float | None:
    return None if value is None else -float(value)


def table_of(comparison: Comparison, *, order: Order, console: Console) -> Table:
    """Return the table, with as many columns as there is room for."""
    models = in_order(comparison.models, order)
    whole = max((len(model.name) for model in models), default=0)
    parted = max((len(part) for model in models for part in _parts(model)), default=0)
    for worst_rank in range(max(column.rank for column in COLUMNS), -1, -1):
        columns = [column for column in COLUMNS if column.rank <= worst_rank]
        table = _table(models, columns, name_width=0)
        # Measured without a bound: else it is squeezed, and says that it fits.
        taken = console.measure(table, options=console.options.update_width(UNBOUNDED)).maximum
        room = console.width - taken
        # A name on two lines is better than no p99, and worse than no number of tokens.
        if room >= whole or (worst_rank < PARTED_BELOW and room >= min(parted, MIN_NAME)):
            break
    return _table(models, columns, name_width=min(whole, max(room, MIN_NAME)))


def _parts(model: ModelComparison) -> tuple[str, str]:
    return (f"{model.endpoint}/", model.model)


def _table(
    models: Sequence[ModelComparison], columns: Sequence[Column], *, name_width: int
) -> Table:
    from rich import box  # noqa: PLC0415  # as the next
    from rich.table import Table  # noqa: PLC0415  # 60 ms that only what is shown needs
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.padding = (0, 1, 0, 0)  # and one that the box has between columns
    table.add_column("\nmodel", overflow="fold", width=name_width)
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    styles = [_styles(models, column) for column in columns]
    for place, model in enumerate(models):
        cells = [
            Text(column.text(model), style=style[place])
            for column, style in zip(columns, styles, strict=True)
        ]
        name = model.name if len(model.name) <= name_width else "\n".join(_parts(model))
        table.add_row(Text(printable(name)), *cells)
    return table


def _styles(models: Sequence[ModelComparison], column: Column) -> list[str]:
    """Return how the cells of a column are shown: the best stands out where there is a choice."""
    if column is ANSWERED:
        return [WORST if model.failures else "" for model in models]
    if column.figure is None:
        return [""] * len(models)
    figures = [column.figure(model) for model in models]
    known = [figure for figure in figures if figure is not None]
    if not known or min(known) == max(known):
        return [""] * len(models)
    best, worst = (max(known), min(known)) if column.highest else (min(known), max(known))
    styles = {best: BEST, worst: WORST if column.marks_worst else ""}
    return ["" if figure is None else styles.get(figure, "") for figure in figures]


def remarks(comparison: Comparison) -> Iterator[Line]:
    """Yield what is worth saying of it in words."""
    models = comparison.models
    wire_names = [model.model for model in models]
    names = {
        model.name: model.model if wire_names.count(model.model) == 1 else model.name
        for model in models
    }
    yield from _winners(models, names)
    for model in models:
        yield from _troubles(model, names[model.name])
    again = sum(model.retried for model in models)
    if again:
        answers = counted(again, "answer", "answers")
        words = f"{answers} took more than one attempt: latency counts all of them and the waits, "
        yield [("retries: ", "bold"), (f"{words}the first token that which answered alone", "")]
    if comparison.stop is not None and comparison.stop.cause is not StopCause.DRAINED:
        yield [("stopped early: ", "bold yellow"), (comparison.stop.message, "")]


def _winners(models: Sequence[ModelComparison], names: Mapping[str, str]) -> Iterator[Line]:
    known = [model for model in models if model.cost_per_1000_requests_usd is not None]
    by_cost = sorted(known, key=lambda model: model.cost_per_1000_requests_usd or Decimal(0))
    if len(known) > 1 and by_cost[0].savings:
        cheap, dear = by_cost[0], by_cost[-1]
        yield [
            ("cheapest: ", BEST),
            (f"{names[cheap.name]}, {money(cheap.cost_per_1000_requests_usd)} ", ""),
            (f"for 1,000 answers; {share(cheap.savings)} less than {names[dear.name]}", ""),
        ]
    for word, field in (("fastest", "latency_s"), ("first to begin", "first_token_s")):
        figure = _at(field, "p50")
        timed = sorted((value, names[model.name]) for model in models if (value := figure(model)))
        if len(timed) > 1 and float(timed[-1][0]) >= WORTH_SAYING * float(timed[0][0]):
            (value, name), (most, last) = timed[0], timed[-1]
            yield [
                (f"{word}: ", BEST),
                (f"{name}, {duration(float(value))} at the median; ", ""),
                (f"{last} takes {duration(float(most))}", ""),
            ]


def _troubles(model: ModelComparison, name: str) -> Iterator[Line]:
    failed = sum(model.failures.values())
    if failed:
        kinds = ", ".join(f"{count:,} {kind.value}" for kind, count in model.failures.items())
        yield [
            (f"{name}: ", "bold"),
            (f"{failed:,} of {len(model.samples):,} failed", "bold red"),
            (f": {kinds}{_example(model)}", ""),
        ]
    if model.succeeded and model.cost_usd is None:
        yield [(f"{name}: ", "bold"), (_why_unknown(model), "")]
    if model.possibly_billed_usd:
        most = money(model.possibly_billed_usd)
        yield [
            (f"{name}: ", "bold"),
            (f"besides, at most {most} for attempts that brought no answer", ""),
        ]
    elif model.possibly_billed_usd is None and model.cost_usd is not None:
        words = "what attempts that brought no answer cost besides is not known: give --max-tokens"
        yield [(f"{name}: ", "bold"), (words, "")]


def _example(model: ModelComparison) -> str:
    """Return what was said of the most frequent kind of failure."""
    kind = next(iter(model.failures))
    for sample in model.samples:
        outcome = sample.outcome
        if sample.kind is kind and outcome is not None and not outcome.success:
            return f", such as: {quote(outcome.error.message)}"
    return ""


def _why_unknown(model: ModelComparison) -> str:
    if model.without_usage:
        told = counted(model.without_usage, "answer", "answers")
        return f"the cost is unknown, since {told} came without a number of tokens"
    return "the cost is unknown, since no price is: give one with --prices"
