"""The fixtures of the plugin, whether or not the package is installed, and loops to run on."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
import pytest
import uvloop

from trillium.pytest_plugin import (  # noqa: F401  # fixtures; the installed plugin has them too
    ThreadedProvider,
    simulated_provider,
    simulator_settings,
    trio_simulated_provider,
)
from trillium.simulator import Scripted

Run = Callable[[Coroutine[Any, Any, object]], object]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine function on a loop of asyncio's kind; nothing may be left after it."""

    def run_and_look(main: Coroutine[Any, Any, object]) -> object:
        threads = set(threading.enumerate())
        value = request.param(main)
        gc.collect()  # what was not awaited or closed warns now, which fails the test
        assert set(threading.enumerate()) <= threads
        return value

    return run_and_look


@attrs.frozen
class Arrivals:
    """Answers every request the same, and lets tests wait until so many have come."""

    _provider: ThreadedProvider
    _come: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0), init=False)

    def answer(self, line: Scripted) -> None:
        def script(_: object) -> Scripted:
            self._come.release()
            return line

        self._provider.script(script)

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self._come.acquire(timeout=10)


@pytest.fixture
def arrivals(simulated_provider: ThreadedProvider) -> Arrivals:  # noqa: F811  # the fixture
    return Arrivals(simulated_provider)


@pytest.fixture
def where(simulated_provider: ThreadedProvider) -> dict[str, str]:  # noqa: F811  # the fixture
    """What `open_client` is told to reach the simulated provider."""
    return {
        "where": "any",
        "base_url": simulated_provider.base_url,
        "key": simulated_provider.key,
    }
