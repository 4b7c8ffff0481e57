"""The page of a comparison: which model is cheapest and which fastest, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from trillium._batch.statistics import StopCause
from trillium.comparison import Comparison, ModelComparison
from trillium.pages.comparison_figures import p50_latency, per_1000_usd, short_name, speed
from trillium.pages.comparison_plots import plots
from trillium.pages.comparison_table import failure_table, model_table
from trillium.pages.formats import (
    count,
    duration,
    moment,
    seconds,
    share,
    short_count,
    significant,
    usd,
)
from trillium.pages.markup import Html, joined, tag
from trillium.pages.shell import page, section
from trillium.pages.tables import Card, cards, facts

_FOOT: Final = (
    "All figures are exact, over the answers of this comparison alone. Latencies run from the "
    "first send of a request to the last byte of its answer, retries and their waits included; "
    "times to the first token run from the send of the attempt that answered. Percentiles are by "
    "nearest rank. Costs are those of the answers; what is not known is shown as –, never as zero."
)


def comparison_page(comparison: Comparison) -> str:
    """Return the page of a comparison: one HTML file that needs nothing else.

    It is the same for the same comparison. It sends nothing and fetches nothing, and no text of
    the comparison can be more than text in it.

    Args:
        comparison: What was found.
    """
    models = comparison.models
    names = ", ".join(model.name for model in models)
    one = len(models) == 1
    failures = failure_table(models)
    return page(
        tag("p", _headline(models), class_="lead"),
        _stopped(comparison),
        cards(_cards(comparison)),
        section("Figures of the model" if one else "Side by side", model_table(models)),
        section("Latency" if one else "Latency and cost", plots(models)),
        None if failures is None else section("Without an answer", failures),
        section("How this was measured", facts(_facts(comparison))),
        title=f"Comparison of {names}",
        heading="Latency and cost of one model" if one else f"{len(models)} models compared",
        meta=f"{_asked(comparison)} · {moment(comparison.started_at.timestamp())}",
        foot=_FOOT,
    )


def _asked(comparison: Comparison) -> str:
    prompts = f"{count(comparison.prompts)} {'prompt' if comparison.prompts == 1 else 'prompts'}"
    times = "" if comparison.repeat == 1 else f", each {count(comparison.repeat)} times"
    return f"{prompts}{times}"


def _stopped(comparison: Comparison) -> Html | None:
    if comparison.stop is None:
        return None
    if comparison.stop.cause is StopCause.DRAINED:
        why = "it was interrupted, and tells of what was sent until then"
    else:
        why = comparison.stop.message
    return tag("p", tag("strong", "Stopped early: "), why, class_="warning")


def _least(
    models: Sequence[ModelComparison], value: Callable[[ModelComparison], Any]
) -> ModelComparison | None:
    known = [model for model in models if value(model) is not None]
    return min(known, key=value) if known else None


def _most(
    models: Sequence[ModelComparison], value: Callable[[ModelComparison], Any]
) -> ModelComparison | None:
    known = [model for model in models if value(model) is not None]
    return max(known, key=value) if known else None


def _headline(models: Sequence[ModelComparison]) -> Html:
    cheapest, fastest = _least(models, per_1000_usd), _least(models, p50_latency)
    if fastest is None:
        return joined("No request was answered.")
    within = f"in {seconds(p50_latency(fastest))} at the median"
    quick = tag("strong", short_name(fastest, models))
    if cheapest is None:
        verb = "answers" if len(models) == 1 else "is the fastest: it answers"
        return joined(quick, f" {verb} {within}. No cost is known.")
    price = f"{usd(per_1000_usd(cheapest))} per 1,000 requests"
    if len(models) == 1:
        return joined(quick, f" answers {within} and costs {price}.")
    if _cost_alike(models):
        return joined(quick, f" is fastest, with an answer {within}. All cost {price}.")
    price += _less_than_dearest(cheapest, models)
    if cheapest is fastest:
        said = joined(quick, f" is both cheapest and fastest: {price}, and an answer {within}.")
    else:
        cheap = tag("strong", short_name(cheapest, models))
        said = joined(
            cheap, f" is cheapest, at {price}; ", quick, f" is fastest, with an answer {within}."
        )
    silent = sum(not model.succeeded for model in models)
    unpriced = sum(per_1000_usd(model) is None for model in models) - silent
    of_all = f"of {count(len(models))} models"
    if unpriced:
        said = joined(said, f" The cost of {count(unpriced)} {of_all} is not known.")
    if silent:
        said = joined(said, f" {count(silent)} {of_all} gave no answer.")
    return said


def _cost_alike(models: Sequence[ModelComparison]) -> bool:
    prices = {per_1000_usd(model) for model in models}
    return len(models) > 1 and len(prices) == 1 and None not in prices


def _less_than_dearest(cheapest: ModelComparison, models: Sequence[ModelComparison]) -> str:
    dearest = _most(models, per_1000_usd)
    if dearest is None or not cheapest.savings:
        return ""
    return f", {share(cheapest.savings)} less than {short_name(dearest, models)}"


def _cards(comparison: Comparison) -> list[Card]:
    models = comparison.models
    best = _one_model(models[0]) if len(models) == 1 else _best_of(models)
    return [*best, _answered(models), _spent(models)]


def _one_model(model: ModelComparison) -> list[Card]:
    found = []
    price, spread = per_1000_usd(model), model.latency_s
    if price is not None:
        more = f"{usd(model.cost_usd)} for these answers"
        found.append(Card(title="Per 1,000 requests", value=usd(price), more=more))
    if spread is not None:
        more = f"p90 {seconds(spread.p90)}, p99 {seconds(spread.p99)}"
        found.append(Card(title="Median latency", value=seconds(spread.p50), more=more))
    return found


def _best_of(models: Sequence[ModelComparison]) -> list[Card]:
    found = []
    cheapest, fastest = _least(models, per_1000_usd), _least(models, p50_latency)
    if cheapest is not None and _cost_alike(models):
        more = "per 1,000 requests, whichever the model"
        found.append(Card(title="Cost", value=usd(per_1000_usd(cheapest)), more=more))
    elif cheapest is not None:
        saved = f", {share(cheapest.savings)} below the dearest" if cheapest.savings else ""
        more = f"{usd(per_1000_usd(cheapest))} per 1,000 requests{saved}"
        found.append(_named("Cheapest", cheapest, models, more))
    if fastest is not None and fastest.latency_s is not None:
        spread = fastest.latency_s
        more = f"p50 {seconds(spread.p50)}, p90 {seconds(spread.p90)}"
        found.append(_named("Fastest", fastest, models, more))
    quickest = _most(models, speed)
    if quickest is not None:
        more = f"{significant(speed(quickest) or 0)} output tokens per second"
        found.append(_named("Highest output speed", quickest, models, more))
    return found


def _named(
    title: str, model: ModelComparison, models: Sequence[ModelComparison], more: str
) -> Card:
    return Card(title=title, value=short_name(model, models), more=more, is_name=True)


def _answered(models: Sequence[ModelComparison]) -> Card:
    answered = sum(model.succeeded for model in models)
    attempted = sum(model.attempted for model in models)
    return Card(
        title="Answered",
        value=share(answered / attempted if attempted else None),
        more=f"{count(answered)} of {count(attempted)} requests",
    )


def _spent(models: Sequence[ModelComparison]) -> Card:
    known = [model.cost_usd for model in models if model.cost_usd is not None]
    unknown = len(models) - len(known)
    if not known:
        return Card(
            title="Spent on this", value="not known", more="no price for any model", is_name=True
        )
    said = "for all answers"
    if unknown:
        said = f"without {count(unknown)} {'model' if unknown == 1 else 'models'} of unknown cost"
    possibly = [model.possibly_billed_usd for model in models]
    lost = sum((amount for amount in possibly if amount), Decimal(0))
    if lost and not unknown:
        said = f"and at most {usd(lost)} for attempts without an answer"
    return Card(title="Spent on this", value=usd(sum(known, Decimal(0))), more=said)


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    found = [
        ("Prompts", _asked(comparison)),
        (
            "Order",
            f"all models at once, each in turn the first, as drawn from seed {comparison.seed}",
        ),
        ("In flight", f"at most {count(comparison.concurrency)} requests of each model"),
        ("Took", duration(comparison.elapsed_s)),
    ]
    connects = [
        f"{short_name(model, comparison.models)} {seconds(model.connect_s)}"
        for model in comparison.models
        if model.connect_s is not None
    ]
    if connects:
        found.append(("To connect", f"{', '.join(connects)}; in no other figure"))
    retried = sum(model.retried for model in comparison.models)
    if retried:
        said = f"{count(retried)} of {count(sum(model.succeeded for model in comparison.models))}"
        found.append(("Retried", f"{said} answers took more than one attempt"))
    lengths = [
        f"{short_name(model, comparison.models)} {short_count(length)}"
        for model in comparison.models
        if (length := model.output_tokens_per_answer) is not None
    ]
    if lengths:
        found.append(("Tokens of an answer", f"{', '.join(lengths)} on average"))
    return found
