"""A provider in a box: for first steps without a key, for tests, benchmarks and planning.

```python
async with open_simulator(SimulatorSettings(latency_s=0.5)) as provider:
    provider.script(["first answer", FaultKind.RESET])
    ...  # any client of OpenAI or Anthropic, with provider.base_url and provider.key
    assert provider.ledger.count("answered") == 1
```

`Simulator` is the sans-io core: a request comes in, a plan of bytes and waits goes out.
`open_simulator` and `serve` put it on a socket, in trio's run and on trio's clock: under
`trio.testing.MockClock` a night's work takes a second.
Both dialects are served at the same address, OpenAI's chat completions and Anthropic's
messages, streaming or not.
What befalls a request depends on the seed, the request, and how often it has come, not on the
order of requests.
"""

from __future__ import annotations

from trillium.simulator.core import Simulator
from trillium.simulator.ledger import Ending, Ledger, LedgerEntry, read_ledger
from trillium.simulator.plans import Cut, Plan, Reset, Send, Stall, Wait
from trillium.simulator.scripts import Arrival, Scripted, ScriptedToolCall
from trillium.simulator.server import SimulatedProvider, open_simulator, serve
from trillium.simulator.settings import (
    DEFAULT_KEY,
    FaultKind,
    Faults,
    HeaderStyle,
    SimulatedQuota,
    SimulatorSettings,
    TokenCharge,
)
from trillium.simulator.words import Asked, SimulatedRequest

__all__ = [
    "DEFAULT_KEY",
    "Arrival",
    "Asked",
    "Cut",
    "Ending",
    "FaultKind",
    "Faults",
    "HeaderStyle",
    "Ledger",
    "LedgerEntry",
    "Plan",
    "Reset",
    "Scripted",
    "ScriptedToolCall",
    "Send",
    "SimulatedProvider",
    "SimulatedQuota",
    "SimulatedRequest",
    "Simulator",
    "SimulatorSettings",
    "Stall",
    "TokenCharge",
    "Wait",
    "open_simulator",
    "read_ledger",
    "serve",
]


def _show_public_path() -> None:
    """Let tracebacks, docs and pickles name this module, whatever file a thing stands in."""
    for name in __all__:
        public = globals()[name]
        if hasattr(public, "__module__"):
            public.__module__ = __name__


_show_public_path()
