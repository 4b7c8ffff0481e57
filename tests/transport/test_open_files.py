"""`_transport/open_files.py`: what a process may open, asked in processes that may open little."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import pytest
import trio

from trillium.simulator import SimulatorSettings, open_simulator

pytestmark = pytest.mark.slow

_, ALLOWED = resource.getrlimit(resource.RLIMIT_NOFILE)
ALLOWED = 1_000_000 if ALLOWED == resource.RLIM_INFINITY else ALLOWED
BOUNDED = """\
import json, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
"""


def run(program: str, *arguments: object) -> Any:
    command = [sys.executable, "-c", BOUNDED + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("most", [300, ALLOWED])
def test_a_low_bound_is_raised_as_far_as_is_of_use(most: int) -> None:
    raised = min(most, 4096)
    program = """
from trillium._transport.open_files import most_connections, permit_more
told = [most_connections()]
permit_more()
told += [most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)]
permit_more()
print(json.dumps([*told, most_connections()]))
"""
    assert run(program, 100, most) == [100 - 32, raised - 32, [raised, most], raised - 32]


@pytest.mark.parametrize("bound", [96, 140])
def test_a_batch_opens_no_more_than_it_may(bound: int) -> None:
    program = """
import trillium, trio

async def main():
    most = tried = 0
    async with trillium.open_client("sim/demo") as client:
        async with client.batch(map(str, range(150))) as batch:
            async for outcome in batch:
                most = max(most, batch.statistics().in_flight)
                tried += outcome.attempts
    print(json.dumps([most, tried]))

trio.run(main)
"""
    most, tried = run(program, bound, bound)
    assert tried == 150
    assert 8 <= most <= (bound - 32) // 2


SEVERAL = """
import trillium, trio

_, _, key, *urls = sys.argv[1:]
places = [trillium.Endpoint(name=url, base_url=url, key=key) for url in urls]
models = [trillium.Model(place, "m") for place in places]

async def main():
    async with trillium.open_client(models[0]) as client:
        by_model = await client.complete_each([f"say {n}" for n in range(150)], models)
    outcomes = [outcome for found in by_model.values() for outcome in found]
    print(json.dumps([len(outcomes), sum(outcome.attempts for outcome in outcomes)]))

trio.run(main)
"""


async def test_several_endpoints_open_no_more_together_than_they_may() -> None:
    settings = SimulatorSettings(latency_s=0.1)
    async with open_simulator(settings) as one, open_simulator(settings) as other:
        where = ("90", "90", one.key, one.base_url, other.base_url)
        command = [sys.executable, "-c", BOUNDED + SEVERAL, *where]
        done = await trio.run_process(command, capture_stdout=True)
        assert json.loads(done.stdout) == [300, 300], "no attempt failed for want of a file"
        most = max(one.ledger.most_in_flight, other.ledger.most_in_flight)
        assert most <= (90 - 32) // 2
