"""Where prices come from: own lists first, then the lists and the table in the box.

Nothing is read before a price is needed.
"""

from __future__ import annotations

import functools
import os
import pkgutil
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit

import attrs
import msgspec

from trillium._money.amounts import EXACT
from trillium._money.price_lists import PriceList, read_list
from trillium._money.table import PriceTable
from trillium._money.tariff import Tariff
from trillium.endpoints import Endpoint
from trillium.errors import InvalidInputError

_BUILT_IN: Final = ("holysheep", "sim")


@final
@attrs.define(eq=False, repr=False)
class Prices:
    """The prices in use: what a client is given to know what its requests cost.

    Made by `load_prices`.
    """

    lists: tuple[PriceList, ...] = ()
    """Own ones; the first that knows a model goes first."""
    _table: PriceTable | None = None
    """In the place of the one in the box."""

    @property
    def table(self) -> PriceTable:
        """The table, of all providers."""
        return _table_in_use() if self._table is None else self._table

    def tariff(self, endpoint: Endpoint, model: str) -> Tariff | None:
        """Return how a model at an endpoint is billed; None where no price is known."""
        host = urlsplit(endpoint.base_url).netloc
        listed = []
        for prices in self.all_lists:
            if prices.provider in (endpoint.name, host):
                found = prices.tariff(model)
                if found is not None:
                    listed.append(found)
                    if found.periods[0].from_day is None:
                        break
        else:
            provider = self.table.provider_id(endpoint.name, endpoint.base_url)
            found = None if provider is None else self.table.tariff(provider, model)
            if found is not None:
                listed.append(found)
        # What holds from a day on has before it what is next in the row.
        return _chained(listed)

    @property
    def all_lists(self) -> tuple[PriceList, ...]:
        """Own lists and those in the box, in the order in which they are asked."""
        return (*self.lists, *_built_in_lists())


def _chained(tariffs: list[Tariff]) -> Tariff | None:
    earlier: Tariff | None = None
    for tariff in reversed(tariffs):
        earlier = tariff if earlier is None else attrs.evolve(tariff, before=earlier)
    return earlier


def load_prices(*files: str | os.PathLike[str]) -> Prices:
    """Return the prices in the box, with own lists in front of them.

    Args:
        files: Price lists in TOML. Of two that know a model the first goes first.

    Raises:
        InvalidInputError: A file that cannot be read, or is no price list; file, and line if known.
    """
    return Prices(tuple(_read_file(file) for file in files))


def _read_file(file: str | os.PathLike[str]) -> PriceList:
    shown = Path(file).as_posix()
    try:
        text = Path(file).read_text("utf-8")
    except OSError as error:
        raise InvalidInputError(str(error.strerror), file=shown) from None
    except UnicodeDecodeError:
        raise InvalidInputError("it is not UTF-8", file=shown) from None
    return parse_list(text, file=shown)


def parse_list(text: str, *, file: str) -> PriceList:
    """Return the price list that a text holds.

    Raises:
        InvalidInputError: It is none.
    """
    import tomllib  # noqa: PLC0415  # only where there is a list to read

    try:
        fields = tomllib.loads(text, parse_float=EXACT.create_decimal)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"it is no TOML: {error}", file=file) from None
    return read_list(fields, file=file)


@functools.cache
def _built_in_lists() -> tuple[PriceList, ...]:
    return tuple(
        parse_list(_in_the_box(f"lists/{name}.toml").decode(), file=f"{name}.toml")
        for name in _BUILT_IN
    )


def _in_the_box(name: str) -> bytes:
    # importlib.resources, which would say the same, takes 10 ms to be imported.
    found = pkgutil.get_data("trillium._money", name)
    assert found is not None, "it is part of the package"
    return found


@functools.cache
def _table_in_the_box() -> PriceTable:
    return PriceTable.from_json(_in_the_box("prices.json"))


def updated_table_path() -> Path:
    """Return where `trillium prices --update` puts its table (XDG Base Directory, cache)."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "trillium", "prices.json")


def newest_table() -> PriceTable:
    """Return the table in the box, or the one that was fetched since."""
    boxed = _table_in_the_box()
    try:
        fetched = PriceTable.from_json(updated_table_path().read_bytes())
        return fetched if fetched.made_on >= boxed.made_on else boxed
    except (OSError, RuntimeError, ValueError, msgspec.DecodeError):
        return boxed  # none was fetched, or there is no home, or it is of no use


_table_in_use: Final = functools.cache(newest_table)
