"""Requests that need not be asked: equal to one in flight, to one before, or to one in a cache.

```text
feeder ─▶ takes ─┬─ equal to one in flight ──────▶ waits for that one's outcome
                 ├─ equal to one in this journal ▶ a copy, at once
                 ├─ in the cache? (a thread) ────▶ a copy
                 └─ none of them ────────────────▶ is asked, and others may wait for it
```

Each request has its own outcome all the same, with its own id and index. What was reused says so,
was sent never, and costs nothing, so that sums count an answer once.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final, final

import attrs
import trio

from trillium._batch.fingerprints import Fingerprints
from trillium._batch.record import Record
from trillium._batch.waiter import Waiter
from trillium._call.route import Route
from trillium.completions import Completion, Outcome, Reused
from trillium.errors import OutputError
from trillium.messages import Request

if TYPE_CHECKING:
    from trillium._batch.answer_cache import AnswerCache

KEPT: Final = 4096
"""So many answers are at hand after they were made: longer than one is on its way to the disk."""
STORE_EVERY_S: Final = 0.25
GRACE_S: Final = 5.0
"""How long the last answers may take to be stored when the batch is left."""
_NOTHING: Final = Decimal(0)

Deliver = Callable[[Outcome, Request | None, Route | None], None]
Ask = Callable[[int, Request, Route], None]


@final
@attrs.define(eq=False)
class Asked:
    """A request as it waits: to be looked up, or for an equal one."""

    index: int
    request: Request
    route: Route
    digest: bytes


@final
@attrs.define(eq=False)
class Leader:
    """One of equal requests, which is asked for all of them."""

    outcome: Outcome | None = None
    followers: list[Asked] = attrs.field(factory=list)


def reuse(outcome: Outcome, request: Request, index: int, how: Reused) -> Outcome:
    """Return the outcome of one request as that of an equal one."""
    if isinstance(outcome, Completion):
        return attrs.evolve(
            outcome,
            id=request.id,
            index=index,
            usage=None,
            cost_usd=_NOTHING,
            possibly_billed_usd=_NOTHING,
            latency_s=0.0,
            first_token_s=None,
            attempts=0,
            abandoned=0,
            faults=(),
            reused=how,
            restored=False,
        )
    error = copy.copy(outcome.error)
    error.request_id = request.id
    error.possibly_billed_usd = _NOTHING
    return attrs.evolve(
        outcome,
        id=request.id,
        index=index,
        error=error,
        latency_s=None,
        attempts=0,
        abandoned=0,
        possibly_billed_usd=_NOTHING,
        reused=how,
    )


@final
class Reuse:
    """What one batch need not ask."""

    def __init__(self, *, dedupe: bool, cache: AnswerCache | None, record: Record | None) -> None:
        """Plan it.

        Args:
            dedupe: Whether equal requests are asked once.
            cache: Answers of earlier jobs.
            record: The batch's journal, made to note digests if `dedupe` is on.
        """
        self._dedupe = dedupe
        self._cache = cache
        self._record = record
        self._deliver: Deliver = _not_open
        self._ask: Ask = _not_open
        self._fingerprints = Fingerprints()
        self._digests: dict[int, bytes] = {}
        """Of those that are asked, by index."""
        self._leaders: dict[bytes, Leader] = {}
        self._answered: deque[bytes] = deque()
        self._lookups: deque[Asked] = deque()
        self._unstored: deque[tuple[bytes, Completion]] = deque()
        self._looking = Waiter()

    async def open(self) -> None:  # noqa: ASYNC910  # without a cache there is nothing to wait for
        """Open the cache.

        Raises:
            OutputError: It cannot be opened.
        """
        if self._cache is not None:
            await trio.to_thread.run_sync(self._cache.open)

    def start(self, nursery: trio.Nursery, *, deliver: Deliver, ask: Ask) -> None:
        """Begin, in tasks of the nursery.

        Args:
            nursery: The batch's.
            deliver: Called with each outcome that was reused.
            ask: Called with each request that was not found in the cache.
        """
        self._deliver, self._ask = deliver, ask
        if self._cache is not None:
            nursery.start_soon(self._look_up, self._cache, name="trillium batch: cache")
            nursery.start_soon(self._store, self._cache, name="trillium batch: cache")

    async def aclose(self) -> None:  # noqa: ASYNC910  # without a cache there is nothing to wait for
        """Store what is left, for a bounded time also when cancelled, and close the cache."""
        if self._cache is not None:
            with trio.move_on_after(GRACE_S, shield=True):
                await trio.to_thread.run_sync(self._close, self._cache, abandon_on_cancel=True)

    def takes(self, index: int, request: Request, route: Route) -> bool:
        """Return whether a request is taken care of; else it is to be asked now."""
        digest = self._fingerprints.digest(request, route)
        if digest is None:
            return False
        asked = Asked(index, request, route, digest)
        if self._dedupe and self._follows(asked):
            return True
        self._digests[index] = digest
        if self._cache is None:
            return False
        self._lookups.append(asked)
        self._looking.wake()
        return True

    def ended(self, outcome: Outcome) -> None:
        """Take note of an outcome, and give those theirs that wait for it."""
        digest = self._digests.pop(outcome.index, None)
        if digest is None:
            return
        if self._cache is not None and isinstance(outcome, Completion) and not outcome.reused:
            self._unstored.append((digest, outcome))
        leader = self._leaders.get(digest)
        if leader is None:
            return
        if outcome.success:
            leader.outcome = outcome
            self._answered.append(digest)
            if len(self._answered) > KEPT:
                self._leaders.pop(self._answered.popleft(), None)
        else:
            del self._leaders[digest]  # the next one that is equal is asked anew
        followers, leader.followers = leader.followers, []
        for one in followers:
            self._give(one, outcome, Reused.DUPLICATE)

    def _follows(self, asked: Asked) -> bool:
        leader = self._leaders.get(asked.digest)
        if leader is not None:
            if leader.outcome is None:
                leader.followers.append(asked)
            else:
                self._give(asked, leader.outcome, Reused.DUPLICATE)
            return True
        answer = None if self._record is None else self._record.answer_to(asked.digest)
        if answer is not None:
            self._give(asked, answer, Reused.DUPLICATE)
            return True
        self._leaders[asked.digest] = Leader()
        return False

    def _give(self, asked: Asked, outcome: Outcome, how: Reused) -> None:
        copied = reuse(outcome, asked.request, asked.index, how)
        self._deliver(copied, asked.request, asked.route)

    # The cache.

    async def _look_up(self, cache: AnswerCache) -> None:
        while True:  # noqa: ASYNC913  # the thread is one, also where it raises
            if not self._lookups:
                await self._looking.wait()
            group = list(self._lookups)
            self._lookups.clear()
            digests = [asked.digest for asked in group]
            try:
                found = await trio.to_thread.run_sync(
                    cache.look_up, digests, abandon_on_cancel=True
                )
            except OutputError as error:
                cache.error = error
                found = {}
            for asked in group:
                answer = found.get(asked.digest)
                if answer is None:
                    self._ask(asked.index, asked.request, asked.route)
                else:
                    self._give(asked, answer, Reused.CACHE)

    async def _store(self, cache: AnswerCache) -> None:
        while True:
            await trio.sleep(STORE_EVERY_S)
            if self._unstored:
                await trio.to_thread.run_sync(self._store_now, cache, abandon_on_cancel=True)

    def _store_now(self, cache: AnswerCache) -> None:
        some = []
        while self._unstored:  # others may be appended meanwhile
            some.append(self._unstored.popleft())
        try:
            cache.store(some)
        except OutputError as error:
            cache.error = error

    def _close(self, cache: AnswerCache) -> None:
        if self._unstored:
            self._store_now(cache)
        cache.close()


async def open_files(  # noqa: ASYNC910  # where there are none there is nothing to wait for
    record: Record | None, reuse: Reuse | None
) -> None:
    """Open a batch's cache and its journal; if either cannot be opened, the cache is closed.

    Raises:
        OutputError: Which, and why.
    """
    if reuse is not None:
        await reuse.open()
    if record is None or record.is_open:
        return  # noqa: ASYNC910
    try:
        # An earlier run's outcomes are read through; it takes seconds for a million.
        await trio.to_thread.run_sync(record.open, trio.from_thread.check_cancelled)
    except BaseException:
        if reuse is not None:
            await reuse.aclose()
        raise


def _not_open(*_: object) -> None:
    raise AssertionError("a reuse is opened before it is used")
