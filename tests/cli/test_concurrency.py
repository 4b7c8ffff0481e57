"""How many requests a batch of the command has in flight: as told, else found out."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from tests.cli.calling import Finished, server, trillium, write_prompts
from trillium._policy.quota_start import FIRST
from trillium.simulator import (
    HeaderStyle,
    SimulatedProvider,
    SimulatedQuota,
    SimulatorSettings,
    open_simulator,
)

pytestmark = pytest.mark.slow

SILENT_AND_STRICT = SimulatorSettings(
    latency_s=0.05,
    header_style=HeaderStyle.NONE,
    quota=SimulatedQuota(requests_per_second=40, burst_s=0.25),
)
UNBOUNDED = SimulatorSettings(latency_s=0.1)


async def batch(provider: SimulatedProvider, prompts: Path, *flags: object) -> Finished:
    asked = ["batch", prompts, "-o", "-", "--no-progress", "--no-learnt-limits"]
    return await trillium(*asked, *flags, *server(provider))


def most_in_flight(provider: SimulatedProvider) -> int:
    """Return how many requests the provider had at once at most."""
    changes = []
    for entry in provider.ledger.entries:
        assert entry.ended_s is not None
        changes += [(entry.received_s, 1), (entry.ended_s, -1)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


async def test_a_provider_that_tells_nothing_is_not_met_with_a_volley(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "in.jsonl", [f"say {n}" for n in range(60)])
    async with open_simulator(SILENT_AND_STRICT) as provider:
        run = await batch(provider, prompts)
        assert run.code == 0, run.err
        assert provider.ledger.count("answered") == len(run.outcomes) == 60
        answered_s = [entry.ended_s for entry in provider.ledger.entries if entry.ended_s]
        before = [e for e in provider.ledger.entries if e.received_s < min(answered_s)]
        assert len(before) <= FIRST


async def test_it_grows_while_that_helps(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "in.jsonl", [f"say {n}" for n in range(200)])
    async with open_simulator(attrs.evolve(UNBOUNDED, latency_s=0.3)) as provider:
        run = await batch(provider, prompts)
        assert (run.code, len(run.outcomes)) == (0, 200)
        assert most_in_flight(provider) > 50, "where it begins"


async def test_what_is_told_is_kept(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "in.jsonl", [f"say {n}" for n in range(100)])
    async with open_simulator(UNBOUNDED) as provider:
        run = await batch(provider, prompts, "--concurrency", 40)
        assert (run.code, most_in_flight(provider)) == (0, 40)


async def test_a_settings_file_tells_it(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "in.jsonl", [f"say {n}" for n in range(28)])
    async with open_simulator(UNBOUNDED) as provider:
        told = f"[endpoints.here]\nbase_url = {json.dumps(provider.base_url)}\nconcurrency = 7\n"
        (tmp_path / "trillium.toml").write_text(told)
        run = await batch(provider, prompts)
        assert (run.code, most_in_flight(provider)) == (0, 7)
        assert (await batch(provider, prompts, "--concurrency", 90)).code == 0
        assert most_in_flight(provider) == 7
