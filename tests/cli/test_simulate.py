"""`trillium simulate`: flags become settings, and the server serves until it is told to end."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.cli.calling import Finished
from tests.forking import Started
from trillium.cli.simulator_flags import Answering, Failing, Permitting, simulator_settings
from trillium.errors import InvalidRequestError
from trillium.opening import open_client
from trillium.simulator import (
    Faults,
    HeaderStyle,
    SimulatedQuota,
    SimulatorSettings,
    TokenCharge,
    read_ledger,
)


def test_without_flags_it_is_the_usual_simulator() -> None:
    assert simulator_settings(Answering(), Failing(), Permitting()) == SimulatorSettings()


def test_each_flag_has_its_setting() -> None:
    answering = Answering(
        latency=0.5,
        latency_spread=0.2,
        tokens_per_second=50.0,
        output_tokens=9,
        output_spread=0.1,
        cached_share=0.3,
        model=("a", "b"),
        seed=7,
        key=("k",),
    )
    failing = Failing(
        fault=("rate_limited=0.1", "cut=0.2"),
        retry_after=3.0,
        drip=4.0,
        keep_alive=5.0,
        idle_close=6.0,
    )
    permitting = Permitting(
        header_style=HeaderStyle.GROQ,
        requests_per_second=1,
        requests_per_minute=2,
        requests_per_day=3,
        tokens_per_minute=4,
        input_tokens_per_minute=5,
        output_tokens_per_minute=6,
        concurrent=7,
        burst=8.0,
        charge=TokenCharge.USED,
        count_refused=True,
    )
    assert simulator_settings(answering, failing, permitting) == SimulatorSettings(
        seed=7,
        keys=("k",),
        models=("a", "b"),
        latency_s=0.5,
        latency_spread=0.2,
        tokens_per_second=50.0,
        output_tokens=9,
        output_spread=0.1,
        cached_share=0.3,
        keep_alive_s=5.0,
        idle_close_s=6.0,
        header_style=HeaderStyle.GROQ,
        faults=Faults(rate_limited=0.1, cut=0.2, retry_after_s=3.0, drip_s=4.0),
        quota=SimulatedQuota(
            requests_per_second=1,
            requests_per_minute=2,
            requests_per_day=3,
            tokens_per_minute=4,
            input_tokens_per_minute=5,
            output_tokens_per_minute=6,
            concurrent=7,
            burst_s=8.0,
            charge=TokenCharge.USED,
            count_refused=True,
        ),
    )


def test_any_key_excludes_keys() -> None:
    assert simulator_settings(Answering(any_key=True), Failing(), Permitting()).keys is None
    with pytest.raises(InvalidRequestError, match="either --key or --any-key"):
        simulator_settings(Answering(any_key=True, key=("k",)), Failing(), Permitting())


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (("flood=1",), "no such kind"),
        (("cut",), "write KIND=SHARE"),
        (("cut=often",), "write KIND=SHARE"),
        (("cut=2",), "cut is 2.0: give a share"),
        (("cut=0.1", "cut=0.2"), "--fault cut is there twice"),
        (("cut=0.6", "reset=0.6"), "add up to 1.2"),
    ],
)
def test_a_fault_that_is_none_is_refused(faults: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        simulator_settings(Answering(), Failing(fault=faults), Permitting())


@pytest.mark.slow
async def test_it_serves_until_it_is_interrupted_and_says_what_was_asked(place: Path) -> None:
    flags = ["--ledger", "ledger.jsonl", "--key", "open-sesame", "--model", "any"]
    flags += ["--output-tokens", "9"]
    with Started("simulate", *flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        greeting = "".join(
            [await trio.to_thread.run_sync(process.stdout.readline) for _ in range(4)]
        )
        found = re.search(r"http://127\.0\.0\.1:\d+/v1", greeting)
        assert found is not None
        assert "The key is open-sesame." in greeting
        assert greeting.endswith("--model any\n")
        async with open_client("any", base_url=found[0], key="open-sesame") as client:
            completion = await client.complete("hi")
        process.send_signal(signal.SIGINT)
        out, err = await trio.to_thread.run_sync(process.communicate)
    assert completion.usage is not None
    assert completion.usage.output_tokens == 9
    assert (process.returncode, out) == (0, "")
    assert err == "1 request, 1 answered, at most 1 at once\n"
    lines = (place / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    assert [entry.prompt for entry in read_ledger(lines)] == ["hi"]


def test_an_address_that_cannot_be_had_is_named(in_process: Callable[..., Finished]) -> None:
    run = in_process("simulate", "--host", "203.0.113.1", "--port", "9")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("trillium: cannot serve: 203.0.113.1 port 9: ")
