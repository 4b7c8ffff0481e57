"""The tables of a comparison: a row for each model, and one for each way to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from trillium.comparison import ModelComparison
from trillium.pages.comparison_figures import full_name, p50_latency, per_1000_usd, speed
from trillium.pages.formats import count, seconds, share, significant, usd
from trillium.pages.markup import Html
from trillium.pages.tables import LATENCY_COLUMNS, MISSING_CELL, Cell, Column, cell, table

_COLUMNS: Final = (
    Column("Model", numeric=False),
    Column("Success", falls_first=True, says="share of the requests that were sent"),
    *LATENCY_COLUMNS,
    Column(
        "p50",
        says="half of the answers began within this time, from the send of the attempt that "
        "answered: retries before it are not included",
    ),
    Column("Out/s", falls_first=True, says="output tokens per second of an answer, the median"),
    Column("In", falls_first=True, says="input tokens of all answers"),
    Column("Out", falls_first=True, says="output tokens of all answers"),
    Column("Total", says="cost of all answers"),
    Column("Per 1,000", says="cost of a thousand answers, at the mean of these"),
    Column("Savings", falls_first=True, says="how much less that is than with the dearest model"),
)
_GROUPS: Final = (
    ("", 2),
    ("Latency", 3),
    ("First token", 1),
    ("Tokens", 3),
    ("Cost", 3),
)


def model_table(models: Sequence[ModelComparison]) -> Html:
    """Return the table of all figures; the best of each column stand out."""
    best = _Best(models)
    rows = [
        (Cell(full_name(place, model), model.name), *best.row(place, model))
        for place, model in enumerate(models)
    ]
    return table(_COLUMNS, rows, name="models", says="Figures of each model", groups=_GROUPS)


class _Best:
    """Knows which models are the best in what."""

    def __init__(self, models: Sequence[ModelComparison]) -> None:
        self._models = models

    def row(self, place: int, model: ModelComparison) -> list[Cell]:
        """Return the cells of a model, less its name."""
        told = model.succeeded > model.without_usage
        return [
            self._cell(place, share, lambda model: model.success_rate, largest=True),
            self._cell(place, seconds, p50_latency),
            self._cell(place, seconds, lambda model: model.latency_s and model.latency_s.p90),
            self._cell(place, seconds, lambda model: model.latency_s and model.latency_s.p99),
            self._cell(
                place, seconds, lambda model: model.first_token_s and model.first_token_s.p50
            ),
            self._cell(place, significant, speed, largest=True),
            cell(count(model.input_tokens), model.input_tokens if told else None),
            cell(count(model.output_tokens), model.output_tokens if told else None),
            # What has answered nothing is not the cheapest for it.
            self._cell(place, usd, lambda model: model.cost_usd if model.succeeded else None),
            self._cell(place, usd, per_1000_usd),
            _saved(model, self._models),
        ]

    def _cell(
        self,
        place: int,
        shown: Callable[[Any], str],
        value: Callable[[ModelComparison], Any],
        *,
        largest: bool = False,
    ) -> Cell:
        values = [value(model) for model in self._models]
        own = values[place]
        if own is None:
            return MISSING_CELL
        known = {found for found in values if found is not None}
        # Where all look alike there is nothing to point at.
        best = shown(max(known) if largest else min(known))
        differ = len({shown(found) for found in known}) > 1
        return cell(shown(own), own, best=differ and shown(own) == best)


def _saved(model: ModelComparison, models: Sequence[ModelComparison]) -> Cell:
    if model.savings == 0 and any(other.savings for other in models):
        return Cell("dearest", 0.0, "soft")
    return cell(share(model.savings), model.savings or None)


def failure_table(models: Sequence[ModelComparison]) -> Html | None:
    """Return how many requests of which model failed why; None if none did."""
    rows = [
        (
            Cell(full_name(place, model), model.name),
            Cell(kind.value, kind.value),
            cell(count(number), number),
        )
        for place, model in enumerate(models)
        for kind, number in model.failures.items()
    ]
    if not rows:
        return None
    columns = (
        Column("Model", numeric=False),
        Column("Why", numeric=False),
        Column("Requests", falls_first=True),
    )
    return table(columns, rows, name="failures", says="Failures of each model")
