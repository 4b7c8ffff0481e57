"""What the pages say of a compared model in a word or a number."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trillium.comparison import ModelComparison
from trillium.pages.charts import color
from trillium.pages.markup import Html, joined, tag


def short_name(model: ModelComparison, models: Sequence[ModelComparison]) -> str:
    """Return the model's own name, with its endpoint only where two models have that name."""
    alike = sum(other.model == model.model for other in models)
    return model.name if alike > 1 else model.model


def full_name(place: int, model: ModelComparison) -> Html:
    """Return what names a row: the model, and its endpoint below."""
    return joined(
        tag("i", class_=f"key {color(place)}", aria_hidden="true"),
        model.model,
        tag("span", model.endpoint, class_="under"),
    )


def per_1000_usd(model: ModelComparison) -> Decimal | None:
    """Return what a thousand answers cost; None if that is not known."""
    return model.cost_per_1000_requests_usd


def p50_latency(model: ModelComparison) -> float | None:
    """Return the median latency; None if there are no answers."""
    return None if model.latency_s is None else model.latency_s.p50


def speed(model: ModelComparison) -> float | None:
    """Return the median of output tokens per second; None if it is not known."""
    return None if model.output_tokens_per_s is None else model.output_tokens_per_s.p50
