"""`trillium prices`: which prices are in use, where they are from, and of which day."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, final

import attrs
import msgspec
from cyclopts import Parameter

from trillium._money.amounts import shown
from trillium._money.price_lists import PriceList
from trillium._money.rates import FIELDS, Rates
from trillium._money.table import PROVIDER_IDS
from trillium._money.tariff import Tariff
from trillium.cli.exits import ExitCode
from trillium.cli.money import MONEY, PriceFiles
from trillium.cli.price_table import fetched_providers, table_of
from trillium.cli.summary import counted
from trillium.cli.terminal import complain, printable
from trillium.endpoints import Endpoint
from trillium.errors import InvalidRequestError, UsageError
from trillium.prices import Prices, load_prices, updated_table_path
from trillium.providers import PROVIDERS, SIM


@final
@attrs.frozen(kw_only=True)
class Priced:
    """A line of what is shown."""

    provider: str
    model: str
    """As it is asked for."""
    tariff: Tariff


def prices(
    *models: Annotated[
        str,
        Parameter(
            name="MODEL",
            help="provider/model, or a provider, or a model's name wherever it is sold.",
        ),
    ],
    files: PriceFiles = (),
    update: Annotated[
        bool,
        Parameter(
            group=MONEY,
            negative=(),
            show_default=False,
            help='Fetch the prices of today; needs pip install "trillium[prices]".',
        ),
    ] = False,
    json: Annotated[
        bool, Parameter(group=MONEY, negative=(), show_default=False, help="Print JSON lines.")
    ] = False,
) -> int:
    """Print the prices of models, or what is in the tables; return the exit code.

    Raises:
        UsageError: A price list that is none, or no such provider; the package for `--update` is
            missing.
    """
    if update:
        return update_table(fetched_providers)
    in_use = load_prices(*files)
    if not models:
        print(_overview(in_use))  # noqa: T201
        return ExitCode.ALL_COMPLETED
    found = [line for name in models for line in find(in_use, name)]
    now = time.time()
    if json:
        for line in found:
            sys.stdout.write(as_json(line, now) + "\n")
    elif found:
        _print_table(found, now)
        for note in dict.fromkeys(_notes(in_use, found)):
            print(note)  # noqa: T201
    unknown = [name for name in models if not find(in_use, name)]
    for name in unknown:
        complain(f"no price is known for {name}: write one into a file, and give it with --prices")
    return ExitCode.SOME_FAILED if unknown else ExitCode.ALL_COMPLETED


def find(in_use: Prices, name: str) -> list[Priced]:
    """Return what a name of the command line stands for.

    Args:
        in_use: The prices.
        name: `provider/model`, a provider, or a model's name.

    Raises:
        InvalidRequestError: The name is empty.
    """
    if not name.strip("/"):
        raise InvalidRequestError("give a model as provider/model, such as openai/gpt-4.1")
    provider, slash, model = name.partition("/")
    known = {*PROVIDERS, *in_use.table.providers, *(own.provider for own in in_use.all_lists)}
    if provider in known:
        names = [model] if slash and model else _models_of(in_use, provider)
        return list(_priced(in_use, provider, names))
    sellers = sorted(known - {SIM})
    return [line for seller in sellers for line in _priced(in_use, seller, [name])]


def _priced(in_use: Prices, provider: str, models: list[str]) -> Iterator[Priced]:
    known = PROVIDERS.get(provider)
    # The name alone is what counts where the provider is known by name to no one but the table.
    url = "https://unknown.invalid" if known is None else known.base_url
    endpoint = Endpoint(name=provider, base_url=url)
    for model in models:
        tariff = in_use.tariff(endpoint, model)
        if tariff is not None:
            yield Priced(provider=provider, model=model, tariff=tariff)


def _models_of(in_use: Prices, provider: str) -> list[str]:
    listed = [
        tariff.model
        for own in in_use.all_lists
        if own.provider == provider
        for tariff in own.tariffs.values()
    ]
    table = PROVIDER_IDS.get(provider, provider)
    rows = in_use.table.rows(table) if table in in_use.table.providers else []
    return list(dict.fromkeys([*listed, *(row.name for row in rows if row.periods is not None)]))


def as_json(line: Priced, now: float) -> str:
    """Return a price as a line of JSON, its amounts exact."""
    rates = line.tariff.rates(now)
    fields: dict[str, Any] = {
        "provider": line.provider,
        "model": line.model,
        "usd_per_million_tokens": _fields(rates),
        "tiers": [
            {"above_tokens": tier.above_tokens, **_fields(tier.rates)} for tier in rates.tiers
        ],
        "variants": {
            variant.name: _fields(line.tariff.rates(now, variant=variant.name))
            for variant in line.tariff.variants
        },
        "usd_per_request": rates.per_request or None,
        "context_tokens": line.tariff.context_tokens,
        "max_output_tokens": line.tariff.max_output_tokens,
        "source": line.tariff.source,
    }
    kept = {name: value for name, value in fields.items() if value not in (None, [], {})}
    return msgspec.json.Encoder(decimal_format="number").encode(kept).decode()


def _fields(rates: Rates) -> dict[str, Any]:
    return {name: rate for name in FIELDS if (rate := getattr(rates, name)) is not None}


def _print_table(found: list[Priced], now: float) -> None:
    from rich.console import Console  # noqa: PLC0415  # only where there is something to show
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="USD per million tokens", title_justify="left", box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for name in ("input", "cached", "cache write", "output", "batch in/out"):
        table.add_column(name, justify="right")
    for line in found:
        tariff = line.tariff
        rates = tariff.rates(now)
        batch = any(variant.name == "batch" for variant in tariff.variants)
        halved = tariff.rates(now, variant="batch")
        table.add_row(
            printable(f"{line.provider}/{line.model}"),
            *(
                "" if rate is None else f"{rate.normalize():f}"
                for rate in (rates.input, rates.cached, rates.cache_write, rates.output)
            ),
            f"{halved.input.normalize():f}/{halved.output.normalize():f}" if batch else "",
        )
        for tier in rates.tiers:
            table.add_row(
                f"  above {tier.above_tokens:,} input tokens",
                *(
                    "" if rate is None else f"{rate.normalize():f}"
                    for rate in (
                        tier.rates.input,
                        tier.rates.cached,
                        tier.rates.cache_write,
                        tier.rates.output,
                    )
                ),
            )
    Console(highlight=False, markup=False).print(table)


def _notes(in_use: Prices, found: list[Priced]) -> Iterator[str]:
    """Yield where the prices are from, and what the lists quote of the models that are shown."""
    for line in found:
        yield f"{line.provider}: {line.tariff.source}"
    for line in found:
        for own in in_use.all_lists:
            quoted = own.quoted.get(line.model)
            if own.provider == line.provider and quoted is not None:
                yield (
                    f"{line.provider}/{line.model}: {shown(quoted)} is what the source gives as "
                    "the official price; nothing is reckoned with it"
                )


def _overview(in_use: Prices) -> str:
    lines = [f"table: {in_use.table.source}"]
    lines += [f"list:  {_described(own)}" for own in in_use.all_lists]
    lines.append("")
    for name in PROVIDERS:
        models = _models_of(in_use, name)
        said = counted(len(models), "model", "models") if models else "no prices"
        lines.append(f"{name:<12} {said}")
    lines.append("")
    lines.append("trillium prices PROVIDER lists its models, trillium prices NAME finds a model.")
    return "\n".join(lines)


def _described(own: PriceList) -> str:
    names = {tariff.model for tariff in own.tariffs.values()}
    rate = "" if own.usd_per_unit == 1 else f", {own.usd_per_unit} USD per {own.currency}"
    return f"{own.provider}: {own.source}, {counted(len(names), 'model', 'models')}{rate}"


def update_table(fetch: Callable[[], list[Any]]) -> int:
    """Put a table of what is fetched where it is used from now on; return the exit code.

    Raises:
        UsageError: The package for it is missing.
    """
    try:
        providers = fetch()
    except ModuleNotFoundError:
        raise UsageError('--update needs a package: pip install "trillium[prices]"') from None
    except Exception as error:  # noqa: BLE001  # whatever its HTTP client raises
        complain(f"the prices could not be fetched: {type(error).__name__}: {error}")
        return ExitCode.SOME_FAILED
    path = updated_table_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(table_of(providers, day=datetime.now(UTC).date()))
    new.replace(path)
    print(f"{load_prices().table.source}: {path.as_posix()}")  # noqa: T201
    return ExitCode.ALL_COMPLETED
