"""`trillium verify`: what is known of a key and a model, and the exit code."""

from __future__ import annotations

import pytest

from tests.cli.calling import KEY_VARIABLE, server, trillium
from trillium.simulator import SimulatorSettings, open_simulator

pytestmark = pytest.mark.slow


async def test_a_good_key_and_a_model_that_is_there() -> None:
    async with open_simulator() as provider:
        run = await trillium("verify", *server(provider))
        assert not provider.ledger.answers
    assert (run.code, run.err) == (0, "")
    assert "key       accepted\n" in run.out
    assert "model     sim-small: available\n" in run.out
    assert "paid      nothing\n" in run.out


async def test_a_key_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "wrong-key")
    async with open_simulator() as provider:
        run = await trillium("verify", *server(provider))
    assert run.code == 1
    assert "key       refused\n" in run.out
    assert run.err.startswith("trillium: ")
    assert "wrong-key" not in run.out + run.err


async def test_a_model_that_is_not_there() -> None:
    async with open_simulator(SimulatorSettings(models=("other",))) as provider:
        run = await trillium("verify", *server(provider))
    assert run.code == 1
    assert "key       accepted\n" in run.out
    assert "model     sim-small: not available\n" in run.out


async def test_a_provider_alone() -> None:
    run = await trillium("verify", "--provider", "sim")
    assert run.code == 0
    assert "model" not in run.out
