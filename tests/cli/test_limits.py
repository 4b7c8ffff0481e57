"""What runs learn of limits is kept for the next ones."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from tests.cli.calling import KEY_VARIABLE, Finished, server, trillium, write_prompts
from trillium.cli.limits_file import KEPT_S, LimitsFile
from trillium.endpoints import Endpoint, Secret
from trillium.limits import Counted, LimitReport
from trillium.simulator import SimulatedQuota, SimulatorSettings, open_simulator

InProcess = Callable[..., Finished]

NOW = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.UTC)
HERE = Endpoint(name="here", base_url="http://here/v1", key=Secret("k-1"))


def report(amount: float, model: str | None = "m", *, told: bool = False) -> LimitReport:
    return LimitReport(
        endpoint="here",
        model=model,
        counted=Counted.REQUESTS,
        amount=amount,
        window_s=60.0,
        told=told,
        at_once=1.0,
        available=0.5,
    )


def amounts(file: LimitsFile, now: datetime.datetime = NOW) -> list[float]:
    return [each.amount for each in file.of(HERE, now)]


def test_what_was_learnt_comes_back_and_what_was_told_does_not(tmp_path: Path) -> None:
    file = LimitsFile(tmp_path / "deep/limits.json")
    file.keep(HERE, [report(5), report(7, told=True), report(9, None)], NOW)
    (found,) = file.of(HERE, NOW)
    assert (found.endpoint, found.model, found.amount, found.told) == ("here", "m", 5, False)
    assert file.of(Endpoint(name="here", base_url="http://there/v1"), NOW) == []
    assert "k-1" not in file.path.read_text()
    assert [path.name for path in file.path.parent.iterdir()] == ["limits.json"]


@pytest.mark.parametrize("found", [True, False])
def test_whether_it_was_found_by_trying_comes_back_too(tmp_path: Path, found: bool) -> None:
    file = LimitsFile(tmp_path / "limits.json")
    file.keep(HERE, [attrs.evolve(report(5), window_s=1.0, found=found)], NOW)
    assert [each.found for each in file.of(HERE, NOW)] == [found]


@pytest.mark.parametrize(
    ("counted", "window_s", "found"),
    [("requests", 1.0, True), ("requests", 60.0, False), ("tokens", 1.0, False)],
)
def test_what_an_older_version_kept_is_a_pace_if_it_is_by_the_second(
    tmp_path: Path, counted: str, window_s: float, found: bool
) -> None:
    limit = {"counted": counted, "amount": 5.0, "window_s": window_s}
    told = {"learnt_at": "2026-11-24T11:00:00Z", "limits": [limit]}
    file = LimitsFile(tmp_path / "limits.json")
    file.path.write_text(json.dumps({"format": 1, "endpoints": {"http://here/v1": {"m": told}}}))
    assert [each.found for each in file.of(HERE, NOW)] == [found]


def test_the_newest_counts_for_a_week(tmp_path: Path) -> None:
    file = LimitsFile(tmp_path / "limits.json")
    file.keep(HERE, [report(5), report(6, "other")], NOW)
    later = NOW + datetime.timedelta(seconds=KEPT_S / 2)
    file.keep(HERE, [report(8)], later)
    assert sorted(amounts(file, later)) == [6, 8]
    last = NOW + datetime.timedelta(seconds=KEPT_S + 1)
    assert amounts(file, last) == [8]
    file.keep(HERE, [report(9)], last)
    assert "other" not in file.path.read_text()
    assert amounts(file, NOW) == [], "it cannot have been learnt in the future"


def test_nothing_learnt_writes_nothing(tmp_path: Path) -> None:
    file = LimitsFile(tmp_path / "limits.json")
    file.keep(HERE, [report(5, told=True)], NOW)
    assert not file.path.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"endpoints": 5},
        {"amount": -1},
        {"amount": 1e999},
        {"counted": "cows"},
        {"learnt_at": "2026-11-24T11:00:00"},
    ],
)
def test_what_is_no_such_file_is_nothing_known(tmp_path: Path, change: dict[str, Any]) -> None:
    limit = {"counted": "requests", "amount": 5.0, "window_s": 60.0}
    limit |= {name: value for name, value in change.items() if name in limit}
    told = {"learnt_at": "2026-11-24T11:00:00Z", "limits": [limit]}
    told |= {name: value for name, value in change.items() if name in told}
    whole = {"format": 1, "endpoints": {"http://here/v1": {"m": told}}}
    whole |= {name: value for name, value in change.items() if name in whole}
    file = LimitsFile(tmp_path / "limits.json")
    file.path.write_text(json.dumps(whole))
    assert amounts(file) == []


def test_the_command_shows_and_forgets_them(in_process: InProcess, tmp_path: Path) -> None:
    file = LimitsFile(tmp_path / "mine.json")
    assert "nothing learnt" in in_process("limits").out
    file.keep(HERE, [report(5)], datetime.datetime.now(datetime.UTC))
    run = in_process("limits", "--learnt-limits", file.path)
    assert run.out.startswith("http://here/v1 m: 5 requests in 60 s, learnt 20")
    assert "nothing learnt" in in_process("limits", "--learnt-limits", file.path, "--clear").out
    assert not file.path.exists()


def test_flags_that_contradict_each_other_are_refused(
    in_process: InProcess, tmp_path: Path
) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", ["one"])
    run = in_process(
        *("batch", prompts, "-o", "-", "--model", "sim/demo"),
        *("--learnt-limits", "x.json", "--no-learnt-limits"),
    )
    assert run.code == 2
    assert "not both" in run.err


@pytest.mark.slow
def test_a_batch_keeps_what_it_learnt_and_the_next_begins_with_it(tmp_path: Path) -> None:
    quota = SimulatedQuota(requests_per_minute=60_000)
    prompts = write_prompts(tmp_path / "prompts.jsonl", map(str, range(5)))

    async def main() -> None:
        async with open_simulator(SimulatorSettings(quota=quota)) as provider:

            async def batch(*flags: object) -> None:
                run = await trillium("batch", prompts, "-o", "-", *flags, *server(provider))
                assert run.code == 0, run.err

            kept = tmp_path / ".state/trillium/limits.json"
            await batch()
            assert '"amount":60000.0' in kept.read_text()
            assert provider.key not in kept.read_text()
            kept.write_text(kept.read_text().replace("60000.0", "600.0"))
            await batch("--no-learnt-limits")
            assert '"amount":600.0' in kept.read_text()
            await batch()
            assert '"amount":60000.0' in kept.read_text(), "raised again by the first headers"

    trio.run(main)
    assert KEY_VARIABLE not in (tmp_path / ".state/trillium/limits.json").read_text()
