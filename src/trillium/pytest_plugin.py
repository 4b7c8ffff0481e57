"""Fixtures for pytest: a simulated provider, for the tests of programs that ask LLMs.

```python
def test_it_asks_once(simulated_provider):
    simulated_provider.script(["Because of the air."])
    assert my_program(simulated_provider.base_url, simulated_provider.key) == "Because of the air."
    assert simulated_provider.ledger.prompts_answered() == {"Why is the sky blue?": 1}
```

`simulated_provider` serves plain tests, asyncio tests and clients other than trillium: it runs in
a thread of its own, in real time. `trio_simulated_provider` runs in the test's own trio run, and
so on its clock. A fixture `simulator_settings` of your own says what both are like.

It is loaded wherever trillium is installed, so the simulator is imported when it is first used.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, final

import pytest

if TYPE_CHECKING:
    import trio

    from trillium._bridge.thread import TrioThread
    from trillium.simulator import Ledger, SimulatedProvider, SimulatorSettings
    from trillium.simulator.scripts import Script

FixtureT = TypeVar("FixtureT", bound=Callable[..., Any])


def _trio_fixture(function: FixtureT) -> FixtureT:
    """Make a fixture that runs in the test's trio run, in every mode of pytest-trio."""
    try:
        from pytest_trio import trio_fixture  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError:  # its users have it; others do not ask for the fixture that needs it
        trio_fixture = pytest.fixture
    made: FixtureT = trio_fixture(function)
    return made


__all__ = ["ThreadedProvider"]

SETTLE_S = 5.0
"""A client that went away is noticed within milliseconds; a busy machine may take longer."""


@final
class ThreadedProvider:
    """A simulated provider in a thread of its own, for tests that are no trio programs."""

    def __init__(self, thread: TrioThread[SimulatedProvider]) -> None:
        self._thread = thread

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`: below it are `/chat/completions` and `/messages`."""
        return self._thread.resource.base_url

    @property
    def root_url(self) -> str:
        """`http://127.0.0.1:PORT`: what Anthropic's own client wants."""
        return self._thread.resource.root_url

    @property
    def key(self) -> str:
        """A key that it accepts."""
        return self._thread.resource.key

    @property
    def ledger(self) -> Ledger:
        """What was asked, and what became of it; see `wait_settled`."""
        return self._thread.resource.ledger

    def script(self, script: Script, *, prompt: str | None = None) -> None:
        """Say what is to be answered.

        Args:
            script: What to do with one request after the other: a text to answer, a `Scripted`
                answer, or a `FaultKind`; or a function that is asked about each request.
            prompt: Only for requests whose prompt contains this.
        """
        self._thread.call(lambda: self._thread.resource.script(script, prompt=prompt))

    def wait_settled(self, *, timeout_s: float = SETTLE_S) -> None:
        """Wait until no request is under way: a client that went away is in the ledger then.

        Raises:
            TimeoutError: Some still are after `timeout_s` seconds.
        """
        from trillium._bridge.caller import wait_for  # noqa: PLC0415  # as above

        wait_for(self._thread, lambda _: _settled(self._thread.resource, timeout_s))


async def _settled(  # noqa: ASYNC910  # it waits where it has to
    provider: SimulatedProvider, timeout_s: float
) -> None:
    import trio  # noqa: PLC0415

    ledger = provider.ledger
    with trio.move_on_after(timeout_s) as scope:  # noqa: ASYNC912  # as above
        while ledger.in_flight:
            ended = trio.Event()
            ledger.write_to(functools.partial(_set, ended))
            await ended.wait()
    ledger.write_to(None)
    if scope.cancelled_caught:
        raise TimeoutError(f"{ledger.in_flight} requests are still under way")


def _set(event: trio.Event, _entry: bytes) -> None:
    event.set()


@pytest.fixture
def simulator_settings() -> SimulatorSettings | None:
    """What simulated providers are like; override it to have others than fast, faultless ones."""
    return None


@pytest.fixture
def simulated_provider(
    simulator_settings: SimulatorSettings | None,
) -> Iterator[ThreadedProvider]:
    """A simulated provider in a thread: for plain and asyncio tests, and for other clients."""
    from trillium._bridge.caller import open_thread  # noqa: PLC0415
    from trillium.simulator import open_simulator  # noqa: PLC0415

    with open_thread(lambda: open_simulator(simulator_settings), name="simulator") as thread:
        yield ThreadedProvider(thread)


@_trio_fixture
async def trio_simulated_provider(  # noqa: ASYNC900  # a fixture
    simulator_settings: SimulatorSettings | None,
) -> AsyncIterator[SimulatedProvider]:
    """A simulated provider in the test's own trio run, on its clock."""
    from trillium.simulator import open_simulator  # noqa: PLC0415

    async with open_simulator(simulator_settings) as provider:
        yield provider  # noqa: ASYNC119  # a fixture
