"""Equal requests are asked once, and each has its own outcome; costs are counted once."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

import trillium
from trillium import AnswerCache, Reused
from trillium.errors import OutputError
from trillium.simulator import Scripted, SimulatedProvider, SimulatorSettings, open_simulator

TWINS = [trillium.Request(f"prompt {n % 3}", id=n) for n in range(12)]


@pytest.fixture
async def provider(nursery: trio.Nursery) -> Any:
    async with open_simulator(SimulatorSettings(latency_s=0.01)) as simulated:
        yield simulated


async def outcomes(
    provider: SimulatedProvider, requests: Any, *, model: str = "m", **options: Any
) -> list[trillium.Outcome]:
    async with trillium.open_client(
        model,
        base_url=provider.base_url,
        key=provider.key,
        retry=trillium.RetryPolicy(max_attempts=1),
    ) as client:
        async with client.batch(requests, **options) as batch:
            found = [outcome async for outcome in batch]
            assert batch.cost.all.unknown <= sum(not outcome.reused for outcome in found)
            return sorted(found, key=lambda outcome: outcome.index)


async def test_equal_requests_in_flight_are_asked_once(provider: SimulatedProvider) -> None:
    found = await outcomes(provider, TWINS, dedupe=True)
    assert provider.ledger.received == 3
    assert [outcome.id for outcome in found] == list(range(12))
    assert len({outcome.text for outcome in found if outcome.success}) == 3
    asked = [outcome for outcome in found if outcome.reused is None]
    copies = [outcome for outcome in found if outcome.reused is Reused.DUPLICATE]
    assert (len(asked), len(copies)) == (3, 9)
    for outcome in copies:
        first = found[outcome.index % 3]
        assert outcome.success
        assert first.success
        assert outcome.text == first.text
        assert (outcome.usage, outcome.cost_usd, outcome.attempts) == (None, Decimal(0), 0)


async def test_without_it_each_is_asked(provider: SimulatedProvider) -> None:
    await outcomes(provider, TWINS)
    assert provider.ledger.received == 12


async def test_what_differs_in_anything_sent_is_asked(provider: SimulatedProvider) -> None:
    requests = [
        trillium.Request("hi"),
        trillium.Request("hi", temperature=0.0),
        trillium.Request("hi", model="other"),
        trillium.Request([trillium.system("x"), trillium.user("hi")]),
    ]
    found = await outcomes(provider, requests * 2, dedupe=True)
    assert provider.ledger.received == 4
    assert len(found) == 8


async def test_a_failure_is_that_of_those_who_waited_and_the_next_is_asked_anew(
    provider: SimulatedProvider,
) -> None:
    provider.script([Scripted(status=400, latency_s=0.2)])
    sending, receiving = trio.open_memory_channel[trillium.Request](2)
    async with trillium.open_client("m", base_url=provider.base_url, key=provider.key) as client:
        async with client.batch(receiving, dedupe=True) as batch:
            await sending.send(trillium.Request("same", id="a"))
            await sending.send(trillium.Request("same", id="b"))
            first, second = [await anext(batch), await anext(batch)]
            assert not first.success
            assert not second.success
            assert {first.error.request_id, second.error.request_id} == {"a", "b"}
            assert sorted(str(one.reused) for one in (first, second)) == ["None", "duplicate"]
            await sending.send(trillium.Request("same", id="c"))
            third = await anext(batch)
            assert third.success
            assert third.reused is None
            await sending.aclose()
    assert provider.ledger.received == 2


async def test_what_a_journal_answered_is_not_asked_for_another_id(
    provider: SimulatedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    await outcomes(provider, TWINS[:2], journal=path, dedupe=True)
    found = await outcomes(provider, TWINS, journal=path, dedupe=True)
    assert provider.ledger.received == 3
    assert [outcome.restored for outcome in found] == [True] * 2 + [False] * 10
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert sorted(line["index"] for line in lines) == list(range(12))
    assert sum("usage" in line for line in lines) == 3
    assert sum(line.get("reused") == "duplicate" for line in lines) == 9
    again = await outcomes(provider, TWINS, journal=path, dedupe=True)
    assert sum(outcome.reused is Reused.DUPLICATE for outcome in again) == 9
    assert provider.ledger.received == 3


async def test_what_this_run_wrote_long_ago_is_read_again(
    provider: SimulatedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trillium._batch.reuse.KEPT", 256)
    many = [trillium.Request(f"prompt {n % 400}", id=n) for n in range(1200)]
    found = await outcomes(provider, many, journal=tmp_path / "out.jsonl", dedupe=True)
    assert len(found) == 1200
    assert provider.ledger.received == 400


async def test_a_cache_answers_what_an_earlier_job_asked(
    provider: SimulatedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "cache.sqlite"
    first = await outcomes(provider, TWINS[:3], cache=path)
    found = await outcomes(provider, [*TWINS[:3], "new"], cache=path)
    assert provider.ledger.received == 4
    assert [outcome.reused for outcome in found] == [Reused.CACHE] * 3 + [None]
    for before, now in zip(first, found, strict=False):
        assert before.success
        assert now.success
        assert before.text == now.text
        assert not now.restored
    await outcomes(provider, TWINS[:3], cache=path, model="other")
    assert provider.ledger.received == 7


async def test_a_failure_is_never_cached(provider: SimulatedProvider, tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    provider.script([Scripted(status=400)])
    assert [one.success for one in await outcomes(provider, ["x"], cache=path)] == [False]
    assert [one.success for one in await outcomes(provider, ["x"], cache=path)] == [True]
    assert provider.ledger.received == 2


async def test_what_is_too_old_is_asked(provider: SimulatedProvider, tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    await outcomes(provider, ["x"], cache=path)
    young = await outcomes(provider, ["x"], cache=AnswerCache(path, max_age_s=1000))
    database = sqlite3.connect(path)
    database.execute("UPDATE answers SET made_at = made_at - 2000")
    database.commit()
    database.close()
    old = await outcomes(provider, ["x"], cache=AnswerCache(path, max_age_s=1000))
    assert [one.reused for one in (*young, *old)] == [Reused.CACHE, None]


async def test_cache_journal_and_duplicates_go_together(
    provider: SimulatedProvider, tmp_path: Path
) -> None:
    cache, path = tmp_path / "cache.sqlite", tmp_path / "out.jsonl"
    await outcomes(provider, TWINS[:1], cache=cache)
    found = await outcomes(provider, TWINS, cache=cache, journal=path, dedupe=True)
    assert provider.ledger.received == 3
    assert len(found) == 12
    again = await outcomes(provider, TWINS, cache=cache, journal=path, dedupe=True)
    assert all(outcome.restored for outcome in again)
    assert [outcome.reused for outcome in again] == [outcome.reused for outcome in found]


def test_a_cache_tells_what_it_holds_and_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    answer = trillium.Completion(
        id=1,
        index=0,
        model="m",
        endpoint="e",
        text="t",
        finish_reason=trillium.FinishReason.STOP,
        latency_s=1.0,
    )
    with AnswerCache(path) as cache:
        look = cache.look()
        assert (look.answers, look.oldest, look.newest) == (0, None, None)
        cache.store([(b"one", answer), (b"two", answer)])
        cache.store([(b"two", answer)])
        assert cache.look().answers == 2
        assert set(cache.look_up([b"one", b"two", b"three"])) == {b"one", b"two"}
        assert cache.clear(older_than_s=3600) == 0
        assert cache.clear() == 2
        assert cache.look().answers == 0
    cache.close()
    with pytest.raises(OutputError, match="is not open"):
        cache.look()


def test_what_is_no_cache_is_refused(tmp_path: Path) -> None:
    notes, other, later = tmp_path / "notes", tmp_path / "other", tmp_path / "later"
    notes.write_text("my notes, which are no database at all" * 40)
    for path, made in ((other, "CREATE TABLE mine (x)"), (later, "PRAGMA user_version = 9")):
        database = sqlite3.connect(path)
        database.execute(made)
        database.close()
    for path, said in (
        (notes, "cannot be used as a cache: file is not a database"),
        (other, "is a database of something else"),
        (later, "was written by a later trillium"),
        (tmp_path / "no" / "x", "cannot be used as a cache: unable to open"),
    ):
        with pytest.raises(OutputError, match=said):
            AnswerCache(path).open()
    with pytest.raises(OutputError, match="there is no such file"):
        AnswerCache(tmp_path / "none").open(create=False)


async def test_a_cache_that_fails_loses_no_answer(
    provider: SimulatedProvider, tmp_path: Path
) -> None:
    cache = AnswerCache(tmp_path / "cache.sqlite")
    cache.open()
    cache.clear()
    cache.close()
    database = sqlite3.connect(cache.path)
    database.execute(
        "CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(FAIL, 'full'); END"
    )
    database.close()
    found = await outcomes(provider, ["a", "b"], cache=cache)
    assert [outcome.success for outcome in found] == [True, True]
    assert cache.error is not None
    assert "cannot be used as a cache: full" in str(cache.error)


async def test_a_cache_that_cannot_be_opened_is_an_error_before_anything_is_sent(
    provider: SimulatedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(OutputError, match="cannot be used as a cache"):
        await outcomes(provider, ["a"], cache=tmp_path / "no" / "cache", journal=path)
    assert provider.ledger.received == 0
    assert not path.exists()  # noqa: ASYNC240
    alien = tmp_path / "alien.jsonl"
    alien.write_text("notes")  # noqa: ASYNC240
    with pytest.raises(OutputError, match="no journal that can be continued"):
        await outcomes(provider, ["a"], cache=tmp_path / "cache", journal=alien)
    assert len(await outcomes(provider, ["a"], cache=tmp_path / "cache", journal=path)) == 1
