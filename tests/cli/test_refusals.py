"""What is wrong is said in one line, with exit code 2, before anything is sent or emptied."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Finished, server, trillium, write_prompts
from trillium.simulator import open_simulator

InProcess = Callable[..., Finished]
BATCH = ("batch", "in.jsonl", "-o", "out.jsonl", "--model", "sim/demo")


@pytest.fixture(autouse=True)
def prompts(place: Path) -> Path:
    return write_prompts(place / "in.jsonl", ["one", "two"])


def refused(run: Finished) -> str:
    """Return the one line that a refusal says."""
    assert (run.code, run.out) == (2, "")
    (line,) = run.err.splitlines()
    assert line.startswith("trillium: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frobnicate",), 'Unknown command "frobnicate"'),
        (("batch", "in.jsonl", "-o", "out.jsonl"), "--model requires an argument"),
        (("batch", "in.jsonl", "--model", "sim/demo"), "--output requires an argument"),
        (("batch", "-o", "out.jsonl", "--model", "sim/demo"), "INPUT requires an argument"),
        ((*BATCH, "--tempreature", "1"), "--tempreature"),
        (("batch", "--tempreature", *BATCH[1:]), "There is no such flag here"),
        (("batch", "in.jsonl", "-o", "--model", "sim/demo"), "There is no such flag here"),
        (("batch", "", *BATCH[2:]), "Give a file's name"),
        ((*BATCH, "--concurrency", "0"), "Give a whole number from 1"),
        ((*BATCH, "--concurrency", "some"), "--concurrency"),
        ((*BATCH, "--attempts", "0"), "Give a whole number from 1"),
        ((*BATCH, "--max-tokens", "0"), "Give a whole number from 1"),
        ((*BATCH, "--deadline", "0"), "Give a number above 0"),
        ((*BATCH, "--deadline", "inf"), "Give a number above 0"),
        ((*BATCH, "--stall-timeout", "-1"), "Give a number above 0"),
        ((*BATCH, "--temperature", "9"), "temperature is 9.0"),
        ((*BATCH, "--order", "random"), '"completion", "input"'),
        ((*BATCH, "--dialect", "anthropic"), "--dialect goes with --base-url"),
        ((*BATCH, "--api-key-env", "NOWHERE"), "NOWHERE"),
        (("complete", "--tempreature", "--model", "sim/demo"), "There is no such flag here"),
        (("complete", "hi", "--model", "sim/demo", "--json", "--stream"), "--json"),
        (("verify",), "say what to verify"),
        (("verify", "--provider", "sim", "--model", "sim/demo"), "--provider stands alone"),
        (("simulate", "--port", "99999"), "Give a number from 0 to 65535"),
        (("simulate", "--latency", "-1"), "Give a number from 0"),
        (("simulate", "--cached-share", "2"), "Give a share from 0 to 1"),
        (("simulate", "--fault", "flood=1"), "no such kind"),
        (("demo", "--model", "openai/gpt-4.1"), "set OPENAI_API_KEY"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_line(
    in_process: InProcess, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(in_process(*arguments))
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gpt-4.1", "does not say whose model it is"),
        ("nobody/gpt-4.1", "unknown provider 'nobody'"),
        ("sim", "names a provider only: write sim/MODEL"),
        ("openai/gpt-4.1", "or name another variable with --api-key-env"),
    ],
)
def test_a_model_that_cannot_be_asked_is_refused(
    in_process: InProcess, model: str, said: str
) -> None:
    assert said in refused(in_process(*BATCH[:-1], model))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--base-url", "ftp://host"), "not of the form https://host/path"),
        (("--base-url", "http://host/v1", "--dialect", "morse"), "unknown dialect 'morse'"),
    ],
)
def test_a_server_that_cannot_be_asked_is_refused(
    in_process: InProcess, flags: tuple[str, ...], said: str
) -> None:
    assert said in refused(in_process(*BATCH[:-1], "name", *flags))


def test_an_input_that_is_not_there_is_refused(in_process: InProcess) -> None:
    run = in_process("batch", "none.jsonl", *BATCH[2:])
    assert refused(run) == "trillium: none.jsonl: there is no such file"


def test_an_existing_output_is_refused_and_left_alone(in_process: InProcess) -> None:
    Path("out.jsonl").write_text("precious\n")
    assert "(--fresh)" in refused(in_process(*BATCH))
    assert Path("out.jsonl").read_text() == "precious\n"


def test_an_output_that_is_the_input_is_refused_whatever_its_name(
    in_process: InProcess, prompts: Path
) -> None:
    before = prompts.read_bytes()
    Path("link.jsonl").symlink_to("in.jsonl")
    for name in ("in.jsonl", "./in.jsonl", "link.jsonl"):
        run = in_process("batch", "in.jsonl", "-o", name, "--model", "sim/demo", "--overwrite")
        assert "is the input itself" in refused(run)
    assert prompts.read_bytes() == before


def test_an_output_in_a_folder_that_is_not_there_is_refused(in_process: InProcess) -> None:
    run = in_process("batch", "in.jsonl", "-o", "no/out.jsonl", "--model", "sim/demo")
    assert "make it first" in refused(run)


@pytest.mark.slow
async def test_a_bad_line_is_named_before_anything_is_sent_or_emptied(place: Path) -> None:
    lines = [json.dumps({"id": n, "prompt": "hi"}) for n in range(3)]
    (place / "bad.jsonl").write_text("\n".join([*lines, "", '{"id": 9, "promt": "hi"}']))
    (place / "old.jsonl").write_text("precious\n")
    async with open_simulator() as provider:
        flags = ("-o", "old.jsonl", *server(provider), "--overwrite")
        run = await trillium("batch", "bad.jsonl", *flags)
        assert refused(run).startswith("trillium: bad.jsonl, line 5: no prompt")
        assert provider.ledger.received == 0
    assert (place / "old.jsonl").read_text() == "precious\n"


def test_a_request_that_the_dialect_cannot_say_is_named_before_anything_is_sent(
    in_process: InProcess,
) -> None:
    line = {"id": "1", "prompt": "hi", "seed": 7}
    Path("seeds.jsonl").write_text(json.dumps(line) + "\n")
    where = ("--base-url", "http://127.0.0.1:9/v1", "--dialect", "anthropic", "--model", "m")
    run = in_process("batch", "seeds.jsonl", "-o", "out.jsonl", *where)
    assert refused(run).startswith("trillium: seeds.jsonl, line 1: ")
    assert not Path("out.jsonl").exists()


def test_without_the_extra_it_is_said_what_to_install(
    in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    assert 'pip install "trillium[cli]"' in refused(in_process("--help"))
