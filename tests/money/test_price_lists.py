"""`prices.py` and `_money/price_lists.py`: own lists, and those in the box."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trillium._money.tariff import Tariff
from trillium.completions import Usage
from trillium.endpoints import Endpoint
from trillium.errors import InvalidInputError
from trillium.prices import Prices, load_prices, newest_table, parse_list, updated_table_path
from trillium.providers import PROVIDERS

MILLION_EACH = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
NOW = datetime(2026, 11, 24, tzinfo=UTC).timestamp()


def endpoint(name: str) -> Endpoint:
    return Endpoint(name=name, base_url=PROVIDERS[name].base_url)


def found(model: str, *, prices: Prices | None = None) -> Tariff:
    provider, _, name = model.partition("/")
    tariff = (prices or load_prices()).tariff(endpoint(provider), name)
    assert tariff is not None
    return tariff


@pytest.mark.parametrize(
    ("model", "in_", "out"),
    [
        ("holysheep/gpt-4.1", "8", "32"),
        ("holysheep/claude-sonnet-4.5", "15", "75"),
        ("holysheep/claude-sonnet-4-5-20250929", "15", "75"),
        ("holysheep/gemini-2.5-flash", "2.50", "10"),
        ("holysheep/deepseek-v3.2", "0.42", "1.68"),
        ("openai/gpt-4.1", "2", "8"),
        ("openai/gpt-4.1-2025-04-14", "2", "8"),
        ("anthropic/claude-sonnet-4-5", "3", "15"),
        ("gemini/gemini-2.5-flash", "0.3", "2.5"),
    ],
)
def test_the_prices_in_the_box(model: str, in_: str, out: str) -> None:
    rates = found(model).rates(NOW)
    assert (rates.input, rates.output) == (Decimal(in_), Decimal(out))


def test_the_resellers_list_is_dated_and_keeps_the_figures_that_it_quotes() -> None:
    (listed,) = (p for p in load_prices().all_lists if p.provider == "holysheep")
    assert listed.valid_from == date(2026, 11, 1)
    assert listed.currency == "USD"
    assert listed.usd_per_unit == 1
    assert listed.quoted == {"gpt-4.1": 15, "claude-sonnet-4.5": 25}
    assert "2026-11-01" in found("holysheep/gpt-4.1").source


def test_what_is_in_no_list_has_no_price() -> None:
    prices = load_prices()
    assert prices.tariff(endpoint("holysheep"), "no-such-model") is None
    assert prices.tariff(endpoint("openai"), "no-such-model") is None
    assert prices.tariff(endpoint("ollama"), "llama3") is None


LIST = """
provider = "openai"
currency = "CNY"
usd_per_unit = 0.14
valid_from = 2026-06-01

[models."gpt-4.1"]
input = [1, 1000, 2]
output = 10
max_output = 32768
context = 1000000
batch = { output = 5 }
tiers = { flex = { input = 0.5 } }

[[models."gpt-*"]]
input = 1
output = 1

[[models."gpt-*"]]
input = 2
output = 2
valid_from = 2026-07-01
"""


def test_an_own_list_goes_first_in_its_currency_from_its_day_on(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(LIST)
    tariff = found("openai/gpt-4.1", prices=load_prices(path))
    rates = tariff.rates(NOW)
    assert (rates.input, rates.output) == (Decimal("0.14"), Decimal("1.4"))
    assert tariff.rates(NOW, variant="batch").output == Decimal("0.7")
    assert tariff.rates(NOW, variant="flex").input == Decimal("0.07")
    long = Usage(input_tokens=2000)
    assert tariff.cost(long, now=NOW) == 2000 * Decimal("0.28") / 10**6
    assert (tariff.max_output_tokens, tariff.context_tokens) == (32768, 1_000_000)
    may = datetime(2026, 5, 31, 23, tzinfo=UTC).timestamp()
    assert tariff.rates(may).input == 2, "until then the table's price holds"


def test_a_star_stands_for_any_rest_and_a_model_may_have_several_days(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(LIST)
    tariff = found("openai/gpt-9", prices=load_prices(path))
    june, july = (datetime(2026, month, 15, tzinfo=UTC).timestamp() for month in (6, 7))
    assert tariff.rates(june).input == Decimal("0.14")
    assert tariff.rates(july).input == Decimal("0.28")


def test_a_list_may_be_of_a_host() -> None:
    own = parse_list('provider = "llm.example:8000"\n[models."*"]\ninput=1\noutput=2', file="x")
    here = Endpoint(name="llm.example:8000", base_url="http://llm.example:8000/v1")
    tariff = Prices((own,)).tariff(here, "any")
    assert tariff is not None
    assert tariff.cost(MILLION_EACH, now=NOW) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("provider = ", "no TOML"),
        ("", "whose it is"),
        ('provider = "x"', "needs models"),
        ('provider = "x"\nmodels = 3', "needs models"),
        ('provider = "x"\ncurency = "CNY"', "curency"),
        ('provider = "x"\nusd_per_unit = 0\n[models.m]\ninput=1\noutput=1', "nothing would cost"),
        ('provider = "x"\nusd_per_unit = "x"', "usd_per_unit"),
        ('provider = "x"\nvalid_from = "soon"', "valid_from"),
        ('provider = "x"\nvalid_from = 2026-01-01T00:00:00', "valid_from"),
        ('provider = "x"\n[models.m]\ninput=1', "output"),
        ('provider = "x"\n[models.m]\ninput=1\noutput=1\nchached=1', "chached"),
        ('provider = "x"\n[models.m]\ninput=-1\noutput=1', "-1"),
        ('provider = "x"\n[models.m]\ninput=1\noutput=1\nnames="n"', "names"),
        ('provider = "x"\n[models.m]\ninput=1\noutput=1\ncontext=0', "context"),
        ('provider = "x"\n[models.m]\ninput=1\noutput=1\nbatch=3', "batch"),
        ('provider = "x"\n[models.m]\ninput=1\noutput=1\ntiers={flex={i=1}}', "flex"),
        ('provider = "x"\n[models]\nm = 3', "table"),
    ],
)
def test_a_list_that_is_none_says_what_is_wrong_in_which_file(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_prices(path)
    assert caught.value.file.endswith("own.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none\.toml"):
        load_prices(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'provider = "\xe9"')
    with pytest.raises(InvalidInputError, match="UTF-8"):
        load_prices(tmp_path / "latin.toml")


def test_a_table_that_was_fetched_later_goes_before_the_one_in_the_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    boxed = newest_table()
    path = updated_table_path()
    path.parent.mkdir()
    for day, is_newer in (("2999-01-01", True), ("2020-01-01", False), ("no day", False)):
        path.write_text(f'{{"source":"fetched","date":"{day}","providers":{{}}}}')
        assert newest_table().source.startswith("fetched") == is_newer
    path.write_text("{")
    assert newest_table().source == boxed.source
