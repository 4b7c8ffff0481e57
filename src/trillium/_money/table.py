"""The table of prices that is in the box, as it lies on disk, and how a model is found in it.

```text
{"source": "genai-prices 0.2.3", "date": "2026-11-24", "providers": {ID: {
    "url": REGEX, "also": [ID, ...], "models": [[NAME, RULES, CONTEXT, PERIODS, VARIANTS], ...]}}}
RULES     "=text" equals  "^text" starts with  "$text" ends with  "*text" contains  "/regex"
          a list: one of them; a list that begins with "&": all of them
PERIODS   [{"rates": {...}, "from": "2026-03-13", "hours": [start_s, end_s]}, ...], null: no price
VARIANTS  {"batch": [{...}], "flex": [...]}: rates that replace those of the periods
```

Of the models of a provider the first one whose rules fit is it. A provider's models are decoded
when one of them is looked for: the whole table would take ten times as long.
Source of the rules' meaning: genai-prices 0.2, `types.py`.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final, final

import attrs
import msgspec

from trillium._money.tariff import Period, Tariff, Variant

PROVIDER_IDS: Final = {"gemini": "google"}
"""Names of providers here that the table calls otherwise."""

_COMPACT_DATE: Final = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
"""As OpenRouter and LiteLLM write the date of a snapshot: gpt-5.2-20251211."""


class Row(msgspec.Struct, array_like=True, omit_defaults=True):
    """A model of the table."""

    name: str
    rules: Any
    context: int | None = None
    periods: list[dict[str, Any]] | None = None
    """None where no price is known."""
    variants: dict[str, list[dict[str, Any]]] = {}  # msgspec copies it


class TableProvider(msgspec.Struct, omit_defaults=True):
    """A provider of the table."""

    url: str
    models: list[Row]
    also: list[str] = []  # msgspec copies it
    """Providers whose models it sells for their prices."""


class _ProviderHead(msgspec.Struct):
    url: str
    models: msgspec.Raw
    also: list[str] = []


class TableFile(msgspec.Struct):
    """The whole table."""

    source: str
    date: str
    providers: dict[str, TableProvider]


class _TableHead(msgspec.Struct):
    source: str
    date: str
    providers: dict[str, _ProviderHead]


@final
@attrs.define(eq=False, repr=False)
class PriceTable:
    """A table, whose providers are decoded as they are asked for.

    Raises:
        msgspec.DecodeError: It is no such table.
    """

    _head: _TableHead
    _rows: dict[str, list[Row]] = attrs.field(factory=dict, init=False)

    @classmethod
    def from_json(cls, text: bytes) -> PriceTable:
        """Read a table."""
        return cls(msgspec.json.decode(text, type=_TableHead))

    @property
    def source(self) -> str:
        """What it was made from, and on which day."""
        return f"{self._head.source}, {self._head.date}"

    @property
    def made_on(self) -> date:
        """The day it was made."""
        return date.fromisoformat(self._head.date)

    def provider_id(self, name: str, base_url: str) -> str | None:
        """Return which provider of the table an endpoint is; None if it is none of them."""
        known = PROVIDER_IDS.get(name, name)
        if known in self._head.providers:
            return known
        for found, head in self._head.providers.items():
            if re.match(head.url, base_url):
                return found
        return None

    def tariff(self, provider: str, model: str) -> Tariff | None:
        """Return how a model of a provider of the table is billed; None if that is not known."""
        head = self._head.providers.get(provider)
        if head is None:
            return None
        name = model.lower()
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        for spelt in dict.fromkeys((name, dashed)):
            for place in (provider, *head.also):
                for row in self.rows(place):
                    if _fits(row.rules, spelt):
                        # Variants are the seller's own, not of those whose models it sells.
                        return self._tariff(place, row, own=place == provider)
        return None

    def rows(self, provider: str) -> list[Row]:
        """Return the models of a provider of the table."""
        found = self._rows.get(provider)
        if found is None:
            head = self._head.providers[provider]
            found = self._rows[provider] = msgspec.json.decode(head.models, type=list[Row])
        return found

    @property
    def providers(self) -> list[str]:
        """The providers of the table."""
        return list(self._head.providers)

    def _tariff(self, provider: str, row: Row, *, own: bool) -> Tariff | None:
        if row.periods is None:
            return None
        return Tariff(
            provider=provider,
            model=row.name,
            source=self.source,
            periods=tuple(map(_period, row.periods)),
            variants=tuple(
                Variant(name, _period(period))
                for name, periods in row.variants.items()
                for period in periods
            )
            if own
            else (),
            context_tokens=row.context,
        )


def _period(fields: dict[str, Any]) -> Period:
    day, hours = fields.get("from"), fields.get("hours")
    return Period(
        fields["rates"],
        from_day=None if day is None else date.fromisoformat(day),
        hours=None if hours is None else (hours[0], hours[1]),
    )


def _fits(rules: Any, name: str) -> bool:
    if isinstance(rules, str):
        return _fits_one(rules[0], rules[1:], name)
    if rules[:1] == ["&"]:
        return all(_fits(rule, name) for rule in rules[1:])
    return any(_fits(rule, name) for rule in rules)


def _fits_one(how: str, what: str, name: str) -> bool:
    match how:
        case "=":
            return name == what
        case "^":
            return name.startswith(what)
        case "$":
            return name.endswith(what)
        case "*":
            return what in name
        case "/":
            return re.search(what, name) is not None
        case _:
            return False  # a rule of a later table than this program
