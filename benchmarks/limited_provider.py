"""The strict provider of the limits' benchmark: the simulator in a process of its own.

``python -m benchmarks.limited_provider SETTING.json`` prints where it listens, serves until its
standard input ends, and then prints what became of each attempt, and when.
"""

import json
import sys
import time
from pathlib import Path

import trio

from benchmarks.limited_cases import Setting
from benchmarks.limited_work import number_of
from trillium.limits import Counted
from trillium.simulator import (
    Arrival,
    HeaderStyle,
    SimulatedQuota,
    Simulator,
    SimulatorSettings,
    serve,
)

LOOSE = 3.0
"""How much more the limit permits that does not bind."""


def quota_of(setting: Setting, share: float = 1.0) -> SimulatedQuota:
    """Return what the provider permits."""
    requests, tokens = limits_of(setting, share)
    return SimulatedQuota(
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        burst_s=setting.held_s,
        fill_s=setting.step_s or None,
        count_refused=setting.count_refused,
    )


def limits_of(setting: Setting, share: float = 1.0) -> tuple[int, int]:
    """Return requests and tokens a minute: one of them binds, the other is loose."""
    binds = setting.counted is Counted.REQUESTS
    requests = setting.rate if binds else setting.rate / setting.mean_tokens * LOOSE
    tokens = setting.rate * setting.mean_tokens * LOOSE if binds else setting.rate
    return round(requests * 60 * share), round(tokens * 60 * share)


async def provide(setting: Setting) -> None:
    """Serve until standard input ends."""
    simulator = Simulator(
        SimulatorSettings(
            keys=None,
            latency_s=setting.latency_s,
            latency_spread=setting.latency_spread,
            header_style=HeaderStyle.OPENAI if setting.headers else HeaderStyle.NONE,
            quota=quota_of(setting),
            keep=None,
        )
    )
    offset_s = time.monotonic() - trio.current_time()

    first = trio.Event()
    """The job's clock starts with its first request."""

    def arrived(_: Arrival) -> None:
        first.set()

    simulator.script(arrived)

    async def halve() -> None:
        assert setting.halved_at is not None
        await first.wait()
        await trio.sleep(setting.halved_at)
        simulator.set_quota(quota_of(setting, 0.5), trio.current_time())

    async with trio.open_nursery() as nursery:
        provider = await nursery.start(serve, simulator)
        if setting.halved_at is not None:
            nursery.start_soon(halve)
        sys.stdout.write(json.dumps({"base_url": provider.base_url}) + "\n")
        sys.stdout.flush()
        await trio.lowlevel.wait_readable(0)
        nursery.cancel_scope.cancel()
    seen = [
        (number_of(e.prompt), e.received_s + offset_s, (e.ended_s or 0.0) + offset_s, e.status)
        for e in simulator.ledger.entries
        if e.prompt
    ]
    sys.stdout.write(json.dumps({"cpu_s": time.process_time(), "seen": seen}))


def main() -> None:
    """Read the setting, serve, and tell."""
    setting = json.loads(Path(sys.argv[1]).read_text())
    trio.run(provide, Setting(**{**setting, "counted": Counted(setting["counted"])}))


if __name__ == "__main__":
    main()
