"""What holds for all tests."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.forking import ForkServer, open_fork_server

# A deadline of an example is an assertion on time, which a busy machine breaks.
# Fewer steps than hypothesis's own 50, which take up to twice as long; `nox -s fuzz` takes more.
settings.register_profile("default", deadline=None, stateful_step_count=30)
# `nox -s fuzz`: the same properties, for longer.
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=5_000,
    stateful_step_count=200,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass the browser's tests over unless `-m browser` asks: pip brings no browser."""
    if collection_path == Path(__file__).parent / "browser":
        return bool(config.getoption("markexpr") != "browser")
    return None


def pytest_configure() -> None:
    """Have signals as a program in the foreground has them.

    A shell lets a program in the background ignore Ctrl-C; tests that interrupt themselves, or a
    command, would then wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    """Collect no garbage while the tests are read: there is next to none, and much is made."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported and read out of the collections of garbage to come.

    Some tests make one, to see that nothing is left behind; of the whole suite it takes half a
    second, of what a test has made itself next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Have commands and examples start in processes that are forked."""
    with open_fork_server() as server:
        yield server
