"""Where the command runs, and how it is run in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import trillium
from tests.cli.calling import KEY_VARIABLE, Finished
from tests.forking import ForkServer
from trillium.cli import main
from trillium.simulator import DEFAULT_KEY


@pytest.fixture(autouse=True)
def forks(fork_server: ForkServer) -> ForkServer:
    """Have the command forked wherever a test runs it; see `tests.cli.calling`."""
    return fork_server


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no key but that of the simulator."""
    for variable in list(os.environ):
        if variable.endswith("_API_KEY") or variable.lower().endswith("_proxy"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("PYTHONPATH", str(Path(trillium.__file__).parents[1]))
    monkeypatch.setenv(KEY_VARIABLE, DEFAULT_KEY)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def in_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Run the command in this process, which is quicker where little else happens."""

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["trillium", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        said = capfd.readouterr()
        assert isinstance(exited.value.code, int)
        return Finished(exited.value.code, said.out, said.err)

    return run
