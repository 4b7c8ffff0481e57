"""A batch with a journal: what is given out is on the disk, and the same again goes on there."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import trillium
from tests.checkpoints import cancel_at_every_checkpoint
from tests.full_disk import files_up_to
from trillium import JournalOptions
from trillium._batch.record import Record
from trillium._batch.sidecar import ADMITTED_STEP, Identity, lock_sidecar, sidecar_path
from trillium._batch.unwritten import FREE_SHARE
from trillium.errors import ErrorKind, OutputError
from trillium.simulator import (
    Scripted,
    SimulatedProvider,
    SimulatorSettings,
    open_simulator,
)

NOBODY = 65534


def prompts(count: int) -> list[trillium.Request]:
    return [trillium.Request(f"prompt {n}", id=f"id-{n}") for n in range(count)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """Those of a file that is being written: the last one may be there in part."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


@attrs.define
class Asked:
    """A simulator that runs over several batches, and how often it was asked for what."""

    provider: SimulatedProvider

    async def outcomes(
        self, requests: Any, journal: Any, *, model: str = "m", **options: Any
    ) -> list[trillium.Outcome]:
        async with trillium.open_client(
            model,
            base_url=self.provider.base_url,
            key=self.provider.key,
            retry=trillium.RetryPolicy(max_attempts=1),
        ) as client:
            async with client.batch(requests, journal=journal, **options) as batch:
                return [outcome async for outcome in batch]

    @property
    def received(self) -> int:
        return self.provider.ledger.received


@pytest.fixture
async def asked(nursery: trio.Nursery) -> Any:
    async with open_simulator(SimulatorSettings(latency_s=0.0)) as provider:
        yield Asked(provider)


async def test_what_is_given_out_is_on_the_disk(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    async with trillium.open_client(
        "m", base_url=asked.provider.base_url, key=asked.provider.key
    ) as client:
        async with client.batch(prompts(50), journal=path, concurrency=5) as batch:
            async for outcome in batch:
                assert outcome.id in {line["id"] for line in whole_lines(path)}
                assert not outcome.restored
    assert sorted(line["index"] for line in lines(path)) == list(range(50))
    assert len({line["request"] for line in lines(path)}) == 50


async def test_lines_tell_when_their_outcomes_were_there(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    before = time.time()
    await asked.outcomes(prompts(3), path, concurrency=1)
    moments = [line["ended_at"] for line in lines(path)]
    assert moments == sorted(moments)
    assert before - 0.01 <= moments[0] <= moments[-1] <= time.time() + 0.01


async def test_the_same_again_asks_nothing(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first = await asked.outcomes(prompts(30), path)
    content = path.read_bytes()
    again = await asked.outcomes(prompts(30), path)
    assert asked.received == 30
    assert all(outcome.restored for outcome in again)
    texts = {outcome.id: outcome.text for outcome in first if outcome.success}
    assert {outcome.id: outcome.text for outcome in again if outcome.success} == texts
    assert path.read_bytes() == content


@pytest.mark.parametrize("streamed_first", [True, False])
async def test_whether_answers_were_streamed_makes_no_request_another(
    asked: Asked, tmp_path: Path, streamed_first: bool
) -> None:
    """What is streamed has another body; the line names the request by the one that is not."""
    journal = tmp_path / "out.jsonl"
    streamed: dict[str, Any] = {"timeouts": trillium.Timeouts(first_token_s=60)}
    first, second = (streamed, {}) if streamed_first else ({}, streamed)
    await asked.outcomes(prompts(3), journal, **first)
    again = await asked.outcomes(prompts(3), journal, **second)
    assert all(outcome.restored for outcome in again)
    assert asked.received == 3


async def test_ordered_is_in_order_also_when_restored(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(prompts(20), path)
    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(kept[:7] + kept[12:]))
    again = await asked.outcomes(prompts(40), path, ordered=True)
    assert [outcome.index for outcome in again] == list(range(40))
    assert sum(outcome.restored for outcome in again) == 15
    assert asked.received == 20 + 5 + 20


async def test_requests_without_ids_go_by_their_place(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(["a", "b"], path)
    again = await asked.outcomes(["a", "b", "c"], path)
    assert [(outcome.id, outcome.restored) for outcome in again] == [
        (None, True),
        (None, True),
        (None, False),
    ]


async def test_failures_are_asked_again_and_their_lines_dropped(
    asked: Asked, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    broken = Scripted(status=500)
    asked.provider.script(
        lambda arrival: broken if arrival.attempt == 1 else Scripted(), prompt="prompt 3"
    )
    first = await asked.outcomes(prompts(10), path)
    assert [outcome.index for outcome in first if not outcome.success] == [3]
    again = await asked.outcomes(prompts(10), path)
    assert [outcome.index for outcome in again if not outcome.restored] == [3]
    assert all(outcome.success for outcome in again)
    assert sorted(line["index"] for line in lines(path)) == list(range(10))
    assert all(line["status"] == "completed" for line in lines(path))


@pytest.mark.parametrize(
    ("ask_again", "asked_again"),
    [([], 0), ([ErrorKind.SERVER_ERROR], 1), (["rate_limited"], 0), (None, 1)],
)
async def test_which_failures_are_asked_again_can_be_said(
    asked: Asked, tmp_path: Path, ask_again: Any, asked_again: int
) -> None:
    path = tmp_path / "out.jsonl"
    asked.provider.script(lambda _: Scripted(status=500), prompt="prompt 1")
    await asked.outcomes(prompts(3), path)
    options = JournalOptions(path=path, ask_again=ask_again)
    again = await asked.outcomes(prompts(3), options)
    assert asked.received == 3 + asked_again
    failed = [outcome for outcome in again if not outcome.success]
    assert [(outcome.index, outcome.restored) for outcome in failed] == [(1, not asked_again)]


async def test_what_was_not_sent_is_asked_in_any_case(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    asked.provider.script(lambda arrival: Scripted(status=401) if arrival.attempt == 1 else None)
    first = await asked.outcomes(prompts(9), path, concurrency=1)
    assert {outcome.error.kind for outcome in first if not outcome.success} == {
        ErrorKind.AUTHENTICATION,
        ErrorKind.NOT_SENT,
    }
    before = asked.received
    options = JournalOptions(path=path, ask_again=[])
    again = await asked.outcomes(prompts(9), options)
    unsent = sum(
        not outcome.success and outcome.error.kind is ErrorKind.NOT_SENT for outcome in first
    )
    assert asked.received == before + unsent
    assert len(again) == len(lines(path)) == 9


async def test_another_model_is_refused(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(prompts(2), path)
    content = path.read_bytes()
    with pytest.raises(OutputError, match='begun with something else: model was "m", not "n"'):
        await asked.outcomes(prompts(2), path, model="n")
    assert (asked.received, path.read_bytes()) == (2, content)


@pytest.mark.parametrize(
    "other",
    [
        trillium.Request("prompt 1", id="another"),
        trillium.Request("another", id="id-1"),
        trillium.Request("prompt 1", id="id-1", temperature=1.0),
    ],
)
async def test_other_requests_are_refused(
    asked: Asked, tmp_path: Path, other: trillium.Request
) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(prompts(3), path)
    with pytest.raises(OutputError, match="request 1 is not the one that was answered there"):
        await asked.outcomes([prompts(1)[0], other], path)
    assert asked.received == 3


async def test_starting_over_drops_what_is_there(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(prompts(5), path)
    again = await asked.outcomes(["x"], JournalOptions(path=path, fresh=True), model="n")
    assert [outcome.restored for outcome in again] == [False]
    assert [line["model"] for line in lines(path)] == ["n"]


async def test_a_file_of_somebody_else_is_kept(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("dear")
    with pytest.raises(OutputError, match="is no journal that can be continued"):
        await asked.outcomes(prompts(5), path)
    assert path.read_text() == "dear"
    assert os.listdir(tmp_path) == ["out.jsonl"]  # noqa: PTH208


async def test_a_second_writer_is_refused(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with lock_sidecar(str(path)):
        with pytest.raises(OutputError, match="another process is writing it"):
            await asked.outcomes(prompts(5), path)
    assert asked.received == 0


async def test_a_journal_cut_anywhere_in_its_last_two_lines_goes_on(
    asked: Asked, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(prompts(3), path, concurrency=1)
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    asked_for = {"endpoint": asked.provider.base_url, "dialect": "openai-chat", "model": "m"}
    for length in range(ends[0], len(whole) + 1):
        path.write_bytes(whole[:length])
        record = Record(JournalOptions(path=path), Identity(parameters=asked_for))
        record.open()
        # A line that lacks nothing but its end is whole.
        kept = sum(end - 1 <= length for end in ends)
        assert sum(record.keeps(index) for index in range(3)) == record.found.completed == kept
        assert record.found.torn is (length + 1 not in ends and length not in ends)
        await record.aclose(finished=False, settled=True)
        assert path.read_bytes() == whole[: ends[kept - 1]]


@pytest.mark.parametrize("cut", [1, 2, 150, 600])
async def test_a_torn_line_is_asked_again(asked: Asked, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(prompts(3), path, concurrency=1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = await asked.outcomes(prompts(3), path)
    lost = len(again) - sum(outcome.restored for outcome in again)
    assert lost == (cut > 1) + (cut == 600)
    assert asked.received == 3 + lost
    assert sorted(line["index"] for line in lines(path)) == [0, 1, 2]


async def test_damage_further_up_is_asked_again_and_dropped(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await asked.outcomes(prompts(3), path)
    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(kept[0] + b"\0" * 40 + b"\n" + kept[2])
    await asked.outcomes(prompts(3), path)
    assert asked.received == 4
    assert sorted(line["index"] for line in lines(path)) == [0, 1, 2]


async def test_a_full_disk_stops_admission_and_keeps_the_answers(
    asked: Asked, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    async with trillium.open_client(
        "m", base_url=asked.provider.base_url, key=asked.provider.key
    ) as client:
        given = []
        batch = client.batch(prompts(2000), journal=path, concurrency=5)
        with files_up_to(5000):
            with pytest.raises(OutputError, match="no space left"):
                async with batch:
                    async for outcome in batch:
                        given.append(outcome.index)  # noqa: PERF401  # until it raises
    on_disk = {json.loads(line)["index"] for line in path.read_bytes().split(b"\n")[:-1]}
    assert set(given) <= on_disk
    unwritten = {outcome.index for outcome in batch.unwritten}
    assert unwritten
    assert asked.received < 500
    assert len(on_disk | unwritten) == asked.received
    again = await asked.outcomes(prompts(300), path)
    assert sum(outcome.restored for outcome in again) == len(on_disk)
    assert len(lines(path)) == 300


async def test_a_disk_with_room_again_takes_what_was_kept(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    async with trillium.open_client(
        "m", base_url=asked.provider.base_url, key=asked.provider.key
    ) as client:
        batch = client.batch(prompts(2000), journal=path, concurrency=5)
        with pytest.raises(OutputError, match="no space left"):
            async with batch:
                with files_up_to(5000):
                    async for _ in batch:
                        pass
    assert batch.unwritten == []
    assert len(lines(path)) == asked.received


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_an_output_that_is_removed_is_noticed(asked: Asked, tmp_path: Path, how: str) -> None:
    path = tmp_path / "out.jsonl"
    async with trillium.open_client(
        "m", base_url=asked.provider.base_url, key=asked.provider.key
    ) as client:
        batch = client.batch(prompts(2000), journal=path, concurrency=5)
        with pytest.raises(OutputError, match=f"was {how} .*while it was written"):
            async with batch:
                async for _ in batch:
                    if how == "replaced":  # at one stroke: the writer may look at any moment
                        other = tmp_path / "other"
                        other.touch()
                        other.replace(path)
                    else:
                        path.unlink(missing_ok=True)
    assert batch.unwritten


async def test_a_folder_that_takes_no_files_is_refused_before_anything_is_sent(
    asked: Asked, tmp_path: Path
) -> None:
    folder = tmp_path / "file"
    folder.touch()
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        await asked.outcomes(prompts(3), folder / "out.jsonl")
    assert asked.received == 0


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """Have a folder that takes no files, also for those whom permissions do not bind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "closed")
        folder.mkdir()
        Path(name).chmod(0o755)
        folder.chmod(0o555)
        mighty = os.geteuid() == 0
        if mighty:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if mighty:
                os.seteuid(0)


async def test_a_read_only_folder_is_refused_before_anything_is_sent(
    asked: Asked, closed_folder: Path
) -> None:
    refused = "out.jsonl: cannot be written: Permission denied; a journal has out.jsonl.meta beside"
    with pytest.raises(OutputError, match=refused):
        await asked.outcomes(prompts(3), closed_folder / "out.jsonl")
    assert asked.received == 0
    assert not list(closed_folder.iterdir())  # noqa: ASYNC240


async def test_leaving_early_keeps_what_was_answered(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    async with trillium.open_client(
        "m", base_url=asked.provider.base_url, key=asked.provider.key
    ) as client:
        async with client.batch(prompts(500), journal=path, concurrency=5) as batch:
            async for _ in batch:
                break
    ended = sum(entry.outcome == "answered" for entry in asked.provider.ledger.entries)
    assert ended - 5 <= len(lines(path)) <= ended
    again = await asked.outcomes(prompts(100), path)
    assert len(again) == 100
    assert asked.received <= 100 + 5 + max(0, len(lines(path)) - 100) + 5


async def test_what_a_drained_batch_did_not_send_leaves_no_line(
    asked: Asked, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    async with trillium.open_client(
        "m", base_url=asked.provider.base_url, key=asked.provider.key
    ) as client:
        async with client.batch(prompts(500), journal=path, concurrency=5) as batch:
            outcomes = []
            async for outcome in batch:
                batch.drain()
                outcomes.append(outcome)
    assert len(outcomes) == 500
    assert len(lines(path)) == sum(outcome.success for outcome in outcomes)


@pytest.mark.parametrize("concurrency", [1, 8, 20])
async def test_a_disk_that_stalls_lets_no_more_be_asked_than_may_be_in_flight(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    moves = threading.Event()
    synced = os.fdatasync

    def sync_when_it_moves(fd: int) -> None:
        moves.wait()
        synced(fd)

    monkeypatch.setattr(os, "fdatasync", sync_when_it_moves)
    outcomes: list[trillium.Outcome] = []

    async def run() -> None:
        path = tmp_path / "out.jsonl"
        outcomes.extend(await asked.outcomes(prompts(100), path, concurrency=concurrency))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        while asked.provider.ledger.count("answered") < concurrency:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.testing.wait_all_tasks_blocked(0.1)
        stalled = asked.received
        moves.set()
    assert concurrency <= stalled <= concurrency + concurrency // FREE_SHARE
    assert len(outcomes) == asked.received == 100


@pytest.mark.parametrize("durability", ["fsync", "flush"])
async def test_no_file_and_no_lock_is_left(asked: Asked, tmp_path: Path, durability: str) -> None:
    path = tmp_path / "out.jsonl"
    options = JournalOptions(path=path, durability=durability)
    await asked.outcomes(prompts(3), options)
    lock_sidecar(str(path)).close()
    assert sorted(os.listdir(tmp_path)) == ["out.jsonl", "out.jsonl.meta"]  # noqa: PTH208


def test_options_that_are_none_are_refused() -> None:
    with pytest.raises(trillium.InvalidRequestError, match="it is fsync or flush"):
        JournalOptions(path="x", durability="never")
    with pytest.raises(trillium.InvalidRequestError, match="'bored' is not a valid ErrorKind"):
        JournalOptions(path="x", ask_again=["bored"])


async def test_cancelled_at_any_checkpoint_the_journal_holds_each_answer_once(
    asked: Asked, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    descriptors = Path("/proc/self/fd")

    async def operation() -> None:
        options = JournalOptions(path=path, durability="flush")
        outcomes = await asked.outcomes(prompts(4), options, concurrency=2)
        assert len(outcomes) == 4

    async def after_each() -> None:
        lock_sidecar(str(path)).close()
        written = lines(path) if path.exists() else []  # noqa: ASYNC240
        indexes = [line["index"] for line in written]
        assert len(set(indexes)) == len(indexes)
        # What was answered before the cancellation, and had come back whole, is there.
        assert len(indexes) <= asked.provider.ledger.count("answered")
        for name in (path, Path(sidecar_path(str(path)))):
            name.unlink(missing_ok=True)  # noqa: ASYNC240

    await operation()
    before = len(list(descriptors.iterdir()))  # noqa: ASYNC240
    path.unlink()  # noqa: ASYNC240
    Path(sidecar_path(str(path))).unlink()  # noqa: ASYNC240
    assert await cancel_at_every_checkpoint(operation, after_each) > 5
    assert len(list(descriptors.iterdir())) <= before + 2  # noqa: ASYNC240


async def test_a_failure_that_was_asked_again_may_have_been_paid_for(
    asked: Asked, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    asked.provider.script(lambda _: Scripted(status=500), prompt="prompt 1")
    await asked.outcomes(prompts(3), path)
    asked_for = {"endpoint": asked.provider.base_url, "dialect": "openai-chat", "model": "m"}
    found = []
    for _ in range(2):
        record = Record(JournalOptions(path=path), Identity(parameters=asked_for))
        record.open()
        found.append(record.possibly_in_flight)
        await record.aclose(finished=False, settled=False)
        with lock_sidecar(str(path)) as sidecar:
            sidecar.admit(1)
    # The one that failed, and what the step of admission holds beside the two that are done.
    assert found == [0, 1 + ADMITTED_STEP - 2]
