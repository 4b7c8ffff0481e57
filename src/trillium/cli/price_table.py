"""The table of prices, made from genai-prices; the only module that imports it.

`python -m trillium.cli.price_table FILE` writes the table of the package (`nox -s prices`);
`trillium prices --update` writes one for its user, from the prices of the day.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from trillium._money.table import Row, TableFile, TableProvider

_NAMES: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
}
"""The units that text has. Of audio, images, seconds and pages no usage of ours tells."""


def bundled_providers() -> list[Any]:
    """Return the providers of the installed genai-prices.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    from genai_prices.data import providers  # noqa: PLC0415  # 1.6 MB, for this command alone

    return list(providers)


def fetched_providers() -> list[Any]:
    """Return the providers as they are published now.

    Raises:
        ModuleNotFoundError: genai-prices is not installed.
        Exception: Whatever its download raises.
    """
    from genai_prices.update_prices import UpdatePrices  # noqa: PLC0415  # as above

    snapshot = UpdatePrices().fetch()
    assert snapshot is not None, "a fetch that brings nothing raises"
    return list(snapshot.providers)


def table_of(providers: list[Any], *, day: date) -> bytes:
    """Return the table of these providers: JSON with a line for each model."""
    table = TableFile(
        source=f"genai-prices {version('genai-prices')}",
        date=day.isoformat(),
        providers={provider.id: _provider(provider) for provider in providers},
    )
    encode = msgspec.json.encode
    text = [f'{{"source":{encode(table.source).decode()},"date":"{table.date}","providers":{{\n']
    for place, (name, provider) in enumerate(table.providers.items()):
        head = {"url": provider.url, **({"also": provider.also} if provider.also else {})}
        comma = ",\n" if place else ""
        text.append(f'{comma}"{name}":{encode(head).decode()[:-1]},"models":[\n')
        text.append(",\n".join(encode(row).decode() for row in provider.models))
        text.append("]}")
    text.append("}}\n")
    return "".join(text).encode()


def _provider(provider: Any) -> TableProvider:
    return TableProvider(
        url=provider.api_pattern,
        also=list(provider.fallback_model_providers or ()),
        models=[_row(model) for model in provider.models],
    )


def _row(model: Any) -> Row:
    row = Row(name=model.id, rules=_rules(model.match))
    prices = model.prices if isinstance(model.prices, list) else [_always(model.prices)]
    periods = [_period(entry) for entry in prices]
    if not all({"input", "output"} <= period["rates"].keys() for period in periods):
        return row  # no model of text, or billed by the month
    row.context = model.context_window
    row.periods = periods
    for variant in model.price_variants or ():
        name = variant.when.get("processing") or variant.when.get("service_tier")
        if len(variant.when) == 1 and name is not None:
            found = _period(variant)
            if found["rates"]:
                row.variants.setdefault(name, []).append(found)
    return row


def _always(prices: Any) -> Any:
    from genai_prices.types import ConditionalPrice  # noqa: PLC0415  # as above

    return ConditionalPrice(prices=prices)


def _period(entry: Any) -> dict[str, Any]:
    fields = vars(entry.prices)
    rates = {
        name: _price(fields[key]) for key, name in _NAMES.items() if fields.get(key) is not None
    }
    if fields.get("requests_kcount") is not None:
        rates["per_request"] = f"{fields['requests_kcount'].scaleb(-3).normalize():f}"
    found: dict[str, Any] = {"rates": rates}
    constraint = entry.constraint
    if constraint is not None and hasattr(constraint, "start_date"):
        found["from"] = constraint.start_date.isoformat()
    elif constraint is not None:
        found["hours"] = [_second(constraint.start_time), _second(constraint.end_time)]
    return found


def _price(price: Any) -> Any:
    if not hasattr(price, "tiers"):
        return _decimal(price)
    steps = [_decimal(price.base)]
    for tier in price.tiers:
        steps += [tier.start, _decimal(tier.price)]
    return steps


def _decimal(price: Any) -> str:
    return f"{price.normalize():f}"


def _second(time: Any) -> int:
    at = datetime.combine(date(2000, 1, 2), time)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.hour * 3600 + at.minute * 60 + at.second


def _rules(match: Any) -> Any:
    for name, sign in (
        ("equals", "="),
        ("starts_with", "^"),
        ("ends_with", "$"),
        ("contains", "*"),
    ):
        if hasattr(match, name):
            return sign + getattr(match, name).lower()
    if hasattr(match, "regex"):
        return "/" + match.regex
    if hasattr(match, "and_"):
        return ["&", *map(_rules, match.and_)]
    return [_rules(rule) for rule in match.or_]


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(table_of(bundled_providers(), day=datetime.now(UTC).date()))
