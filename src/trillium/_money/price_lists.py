"""Price lists that people write: TOML, one provider each, in their own currency.

```toml
provider = "holysheep"       # as in the table of providers; or a host, such as llm.example:8000
source = "price page"        # for people; what is not said is the file's name
currency = "USD"             # for people
usd_per_unit = 1             # of that currency; rates below are multiplied by it
valid_from = 2026-11-01      # the first day (UTC); no day is since ever

[models."gpt-4.1"]           # the name on the wire; a * at the end stands for any rest
names = ["gpt-4-1"]          # further names
input = 8                    # per million tokens; or [8, 200_000, 12]: 12 above 200,000 tokens
output = 32
cached = 2                   # left out: as input
cache_write = 8
cache_write_1h = 8
reasoning = 32               # left out: as output
per_request = 0
context = 1_000_000          # the context window, in tokens
max_output = 32_768          # the longest answer: what a budget holds if a request has no bound
batch = { input = 4, output = 16 }
tiers = { priority = { input = 12 } }      # service tiers

[quoted]                     # figures to be shown and not used
"gpt-4.1" = 15
```

A model may stand in several lists, or in a list as an array of tables, with different days.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, final

import attrs

from trillium._money.amounts import EXACT, as_amount
from trillium._money.rates import FIELDS, rates_of
from trillium._money.tariff import BATCH, Period, Tariff, Variant
from trillium.errors import InvalidInputError, InvalidRequestError

_LIST_KEYS: Final = frozenset(
    {"provider", "source", "currency", "usd_per_unit", "valid_from", "models", "quoted"}
)
_PRICES: Final = (*FIELDS, "per_request")
_MODEL_KEYS: Final = frozenset(
    {*_PRICES, "names", "context", "max_output", "batch", "tiers", "valid_from"}
)
_SNAPSHOT: Final = re.compile(r"[-@](20\d{2}-\d{2}-\d{2}|20\d{6})$")
"""The date that providers put behind a model's name; a snapshot costs what its model costs."""


@final
@attrs.frozen(kw_only=True, eq=False, repr=False)
class PriceList:
    """The prices of one provider, as somebody wrote them down."""

    provider: str
    source: str
    currency: str = "USD"
    usd_per_unit: Decimal = Decimal(1)
    valid_from: date | None = None
    tariffs: Mapping[str, Tariff]
    """By name, in lower case; rates are in USD."""
    quoted: Mapping[str, Decimal] = attrs.field(factory=dict)
    """Figures that the source gives for others, as they stand there."""

    def tariff(self, model: str) -> Tariff | None:
        """Return how a model is billed; None if it is not in the list."""
        name = model.lower()
        found = self.tariffs.get(name) or self.tariffs.get(_SNAPSHOT.sub("", name))
        if found is not None:
            return found
        beginnings = [
            key for key in self.tariffs if key.endswith("*") and name.startswith(key[:-1])
        ]
        return self.tariffs[max(beginnings, key=len)] if beginnings else None


def read_list(fields: Mapping[str, Any], *, file: str) -> PriceList:
    """Return the price list that a TOML document holds.

    Args:
        fields: The document, its floats read as decimals.
        file: What to call it in errors.

    Raises:
        InvalidInputError: It is none; the message says where.
    """
    try:
        return _read_list(fields, file)
    except InvalidRequestError as error:
        raise InvalidInputError(str(error), file=file) from None


def _read_list(fields: Mapping[str, Any], file: str) -> PriceList:
    _refuse_others(fields, _LIST_KEYS, "the list")
    provider = fields.get("provider")
    if not isinstance(provider, str) or not provider:
        raise InvalidRequestError('a price list says whose it is: provider = "openai"')
    source = str(fields.get("source", file))
    rate = as_amount(fields.get("usd_per_unit", 1), "usd_per_unit")
    if not rate:
        raise InvalidRequestError("usd_per_unit is 0: nothing would cost anything")
    day = _day(fields.get("valid_from"), "the list")
    models = fields.get("models")
    if not isinstance(models, dict) or not models:
        raise InvalidRequestError('a price list needs models: [models."gpt-4.1"]')
    tariffs: dict[str, Tariff] = {}
    dated = source if day is None else f"{source}, {day.isoformat()}"
    for name, given in models.items():
        rows = given if isinstance(given, list) else [given]
        try:
            tariff = _tariff(provider, name, rows, rate=rate, day=day, source=dated)
        except InvalidRequestError as error:
            raise InvalidRequestError(f'models."{name}": {error}') from None
        for alias in (name, *_names(rows)):
            tariffs[alias.lower()] = tariff
    quoted = fields.get("quoted", {})
    return PriceList(
        provider=provider,
        source=dated,
        currency=str(fields.get("currency", "USD")),
        usd_per_unit=rate,
        valid_from=day,
        tariffs=tariffs,
        quoted={str(name): as_amount(price, f"quoted {name}") for name, price in quoted.items()},
    )


def _tariff(
    provider: str, name: str, rows: list[Any], *, rate: Decimal, day: date | None, source: str
) -> Tariff:
    periods, variants = [], []
    context = max_output = None
    for row in rows:
        if not isinstance(row, dict):
            raise InvalidRequestError("its rates are a table: input = 8, output = 32")
        _refuse_others(row, _MODEL_KEYS, "a model")
        since = _day(row.get("valid_from"), name) or day
        priced = _in_usd(row, rate)
        rates_of(priced)  # what is wrong with it is said now, not when it is needed
        periods.append(Period(priced, from_day=since))
        tiers = {**({BATCH: row["batch"]} if "batch" in row else {}), **row.get("tiers", {})}
        for tier, fields in tiers.items():
            _refuse_others(fields, frozenset(_PRICES), tier)
            replaced = _in_usd(fields, rate)
            rates_of({**priced, **replaced})
            variants.append(Variant(tier, Period(replaced, from_day=since)))
        context = _count(row, "context") or context
        max_output = _count(row, "max_output") or max_output
    periods.sort(key=lambda period: period.from_day or date.min)
    # Of variants the first that is in force holds: the latest goes first.
    variants.sort(key=lambda variant: variant.period.from_day or date.min, reverse=True)
    return Tariff(
        provider=provider,
        model=name,
        source=source,
        periods=tuple(periods),
        variants=tuple(variants),
        context_tokens=context,
        max_output_tokens=max_output,
    )


def _in_usd(fields: Mapping[str, Any], rate: Decimal) -> dict[str, Any]:
    def converted(price: Any, name: str) -> Decimal:
        return EXACT.multiply(as_amount(price, name), rate)

    found: dict[str, Any] = {}
    for name in _PRICES:
        price = fields.get(name)
        if isinstance(price, list):
            found[name] = [
                step if place % 2 else converted(step, name) for place, step in enumerate(price)
            ]
        elif price is not None:
            found[name] = converted(price, name)
    return found


def _names(rows: list[Any]) -> list[str]:
    names: list[str] = []
    for row in rows:
        given = row.get("names", [])
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            raise InvalidRequestError("names is a list of texts")
        names += given
    return names


def _day(day: Any, where: str) -> date | None:
    # A datetime is a date, and no day.
    if day is not None and type(day) is not date:
        raise InvalidRequestError(f"valid_from of {where} is a day: valid_from = 2026-11-01")
    return day


def _count(row: Mapping[str, Any], name: str) -> int | None:
    count = row.get(name)
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise InvalidRequestError(f"{name} is a number of tokens, not {count!r}")
    return count


def _refuse_others(fields: Any, known: frozenset[str], where: str) -> None:
    if not isinstance(fields, Mapping):
        raise InvalidRequestError(f"{where} is a table")
    unknown = sorted(fields.keys() - known)
    if unknown:
        names = ", ".join(sorted(known))
        raise InvalidRequestError(f"{where} has no {unknown[0]!r}: {names}")
