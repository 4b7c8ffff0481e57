"""`LoggingObserver`: what is logged, where, and what never is."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import trio
from trio.testing import MockClock

import trillium
from trillium.logs import LoggingObserver
from trillium.simulator import FaultKind, SimulatorSettings, open_simulator


def ask(observer: trillium.Observer, *, key: str | None = None) -> None:
    """Answer one prompt after a fault, and fail with another."""

    async def main() -> None:
        async with open_simulator(SimulatorSettings()) as provider:
            provider.script([FaultKind.RESET, "Because of the air."])
            async with trillium.open_client(
                "any", base_url=provider.base_url, key=key or provider.key, observer=observer
            ) as client:
                await client.complete(trillium.Request("Why is the sky blue?", id="first"))
                await client.complete_all(["?"], model="", deadline_s=1e-9)
                async with trillium.open_client(
                    "any", base_url=provider.base_url, key="sk-wrong", observer=observer
                ) as other:
                    with pytest.raises(trillium.StatusError):
                        await other.complete("Why not?")

    trio.run(main)


def test_retries_failures_and_answers_are_logged_with_their_facts(caplog) -> None:
    with caplog.at_level(logging.DEBUG, logger="trillium"):
        ask(LoggingObserver())
    records = [record for record in caplog.records if record.name == "trillium"]
    levels = [record.levelname for record in records]
    assert levels == ["DEBUG", "INFO", "DEBUG", "DEBUG", "DEBUG", "DEBUG", "WARNING"]
    retry, answered, failed = records[1], records[3], records[6]
    assert retry.trillium_kind == "connection_failed"
    assert answered.trillium_id == "first"
    assert answered.trillium_attempts == 2
    assert answered.trillium_output_tokens > 0
    assert failed.trillium_kind == "authentication"
    assert failed.trillium_status == 401
    assert all(record.funcName != "_log" for record in records)


def test_neither_content_nor_key_is_logged(caplog) -> None:
    with caplog.at_level(logging.DEBUG, logger="trillium"):
        ask(LoggingObserver())
    said = caplog.text + str([vars(record) for record in caplog.records])
    for secret in ("sk-wrong", "sim-key", "sky blue", "of the air"):
        assert secret not in said


def test_above_its_level_nothing_is_logged(caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="trillium"):
        ask(LoggingObserver())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.slow
def test_a_program_that_sets_nothing_up_sees_nothing() -> None:
    program = (
        "import trillium.logs, logging;logging.getLogger('trillium').warning('this does not show')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert run.stderr == b""


def test_several_observers_are_told_the_same(caplog) -> None:
    class Counting(trillium.Observer):
        """Only what it cares about."""

        outcomes = 0

        def outcome(self, outcome, *, request=None):
            self.outcomes += 1

    counting = Counting()
    with caplog.at_level(logging.DEBUG, logger="trillium"):
        ask(trillium.Observers(counting, LoggingObserver()))
    assert counting.outcomes == 3
    assert len(caplog.records) == 7


def test_observers_hand_on_all_that_there_is_to_tell() -> None:
    told = {name for name in vars(trillium.Observer) if not name.startswith("_")}
    assert told == {name for name in vars(trillium.Observers) if not name.startswith("_")}


def test_limits_waits_money_and_cancelled_attempts_are_logged(caplog) -> None:
    async def main() -> None:
        async with trillium.open_client(
            "sim/demo", observer=LoggingObserver(), budget=trillium.usd(1)
        ) as client:
            with trio.move_on_after(0.05):
                await client.complete(trillium.Request("Why?", max_tokens=50))

    with caplog.at_level(logging.DEBUG, logger="trillium"):
        trio.run(main, clock=MockClock(autojump_threshold=0))
        observer = LoggingObserver()
        limit = trillium.LimitReport(
            endpoint="e",
            model="m",
            counted=trillium.Counted.REQUESTS,
            amount=600,
            window_s=60,
            told=False,
            at_once=10,
            available=10,
        )
        observer.limit_learnt(limit)
        observer.held_back(endpoint="e", model="m", delay_s=7)
    (cancelled,) = [r for r in caplog.records if getattr(r, "trillium_kind", "") == "cancelled"]
    assert cancelled.levelname == "DEBUG"
    budgets = [record for record in caplog.records if hasattr(record, "trillium_held_usd")]
    assert [bool(record.trillium_held_usd) for record in budgets] == [True, False]
    assert budgets[1].trillium_spent_usd > 0
    learnt, held = caplog.records[-2:]
    assert (learnt.levelname, learnt.trillium_amount) == ("INFO", 600)
    assert learnt.getMessage() == f"limit: {limit}"
    assert held.getMessage() == "e/m: nothing is sent for 7.0 s"
