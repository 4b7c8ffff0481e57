"""`trillium demo`: the worked example."""

from __future__ import annotations

import re

import pytest

from tests.cli.calling import server, trillium
from trillium.simulator import Scripted, SimulatorSettings, open_simulator

pytestmark = pytest.mark.slow


async def test_twenty_prompts_five_at_a_time_and_what_they_took() -> None:
    async with open_simulator(SimulatorSettings(latency_s=0.01)) as provider:
        run = await trillium("demo", *server(provider))
        assert provider.ledger.received == 20
        assert provider.ledger.most_in_flight <= 5
        assert len(provider.ledger.prompts_answered()) == 20
    assert run.code == 0
    assert "20 prompts to sim-small, 5 at a time" in run.err
    assert re.search(r"^completed +20 of 20$", run.out, re.MULTILINE)
    assert re.search(r"^total time +\d+\.\d\d s$", run.out, re.MULTILINE)
    assert re.search(r"^mean time per request +\d+\.\d\d s", run.out, re.MULTILINE)
    assert re.search(r"^tokens +[\d,]+ in, 640 out$", run.out, re.MULTILINE)
    assert re.search(r"^cost +unknown \(no price for", run.out, re.MULTILINE)


async def test_it_tells_of_failures_and_runs_elsewhere_in_other_numbers() -> None:
    async with open_simulator() as provider:
        provider.script([Scripted(status=400)])
        flags = ("--count", "30", "--concurrency", "3", *server(provider))
        run = await trillium("demo", *flags)
        assert provider.ledger.received == 30
        assert provider.ledger.most_in_flight <= 3
    assert run.code == 1
    assert re.search(r"^completed +29 of 30$", run.out, re.MULTILINE)
    assert re.search(r"^failed +1 invalid_request: ", run.out, re.MULTILINE)
