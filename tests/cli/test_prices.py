"""`trillium prices`: which prices are in use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from trillium.cli.price_table import bundled_providers
from trillium.cli.prices import find, prices, update_table
from trillium.errors import InvalidRequestError, UsageError
from trillium.prices import load_prices, newest_table, updated_table_path

Output = pytest.CaptureFixture[str]


def test_without_a_model_it_says_what_is_there_and_of_which_day(capsys: Output) -> None:
    assert prices() == 0
    said = capsys.readouterr().out
    assert f"table: {load_prices().table.source}" in said
    assert "holysheep: HolySheep's price page, 2026-11-01, 4 models" in said


def test_a_model_has_its_rates_tiers_and_source(capsys: Output) -> None:
    assert prices("holysheep", "anthropic/claude-sonnet-4-5") == 0
    said = capsys.readouterr().out
    assert re.search(r"holysheep/deepseek-v3\.2 +0\.42 +1\.68", said)
    assert "above 200,000 input tokens" in said
    assert "holysheep: HolySheep's price page, 2026-11-01" in said
    assert "anthropic: genai-prices" in said
    assert "holysheep/gpt-4.1: $15.00 is what the source gives as the official price" in said


def test_as_json_amounts_are_exact(capsys: Output) -> None:
    assert prices("gemini/gemini-2.5-pro", json=True) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["usd_per_million_tokens"] == {"input": 1.25, "output": 10, "cached": 0.125}
    assert line["tiers"][0]["above_tokens"] == 200_000
    assert line["variants"]["batch"]["output"] == 5
    assert line["source"] == load_prices().table.source


def test_a_bare_name_is_found_wherever_it_is_sold() -> None:
    sellers = [line.provider for line in find(load_prices(), "gpt-4.1")]
    assert {"azure", "holysheep", "openai"} <= set(sellers)
    assert "sim" not in sellers


def test_an_unknown_model_is_no_price_and_exit_code_1(capsys: Output) -> None:
    assert prices("openai/no-such-model") == 1
    assert "no price is known for openai/no-such-model" in capsys.readouterr().err
    with pytest.raises(InvalidRequestError):
        find(load_prices(), "/")


def test_an_own_list_goes_first(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'provider = "openai"\ncurrency = "EUR"\nusd_per_unit = 1.1\nsource = "contract"\n'
        '[models."gpt-4.1"]\ninput = 1\noutput = 2\n'
    )
    assert prices("openai/gpt-4.1", files=(str(path),)) == 0
    assert "contract" in capsys.readouterr().out
    assert prices(files=(str(path),)) == 0
    assert "openai: contract, 1 model, 1.1 USD per EUR" in capsys.readouterr().out


@pytest.mark.slow
def test_an_update_is_in_use_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert update_table(bundled_providers) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert newest_table().tariff("openai", "gpt-4.1") is not None
    assert [path.name for path in updated_table_path().parent.iterdir()] == ["prices.json"]


def test_an_update_that_fails_says_so(capsys: Output) -> None:
    def offline() -> list[object]:
        raise ConnectionError("no route to host")

    def not_installed() -> list[object]:
        raise ModuleNotFoundError("genai_prices")

    assert update_table(offline) == 1
    assert "no route to host" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"trillium\[prices\]"):
        update_table(not_installed)
