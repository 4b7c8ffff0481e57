"""Reads the source of a batch, no further ahead than there are places in its window."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Final, final

import attrs
import trio

from trillium._batch.waiter import Waiter
from trillium.messages import Message, Request

SOURCE_GRACE_S: Final = 1.0
"""How long a stopped batch waits for an async source to give its next request. A source that
takes longer may never give one; what it holds is then left, without outcomes."""
WINDOW_PER_WORKER: Final = 4
"""Read ahead three times what is in flight: a worker that is done finds the next request there,
also where a quick server answers all of them before feeder and consumer have had their turn."""
MIN_WINDOW: Final = 16
MIN_WINDOW_RECORDED: Final = 128
"""Outcomes have a place while their group is written."""
MIN_READ_AT_ONCE: Final = 64
"""A source that never waits must not keep others from running for long; but neither must its
feeder have fewer turns than the workers that it feeds."""

Prompt = str | Message | Request


@final
@attrs.define(eq=False)
class Window:
    """How many requests may be between the source and the consumer of a batch.

    A request has a place from being read to being taken. While one backs off it lends its place,
    to as many again as there are in all.
    """

    size: int
    """Below 0: none may be read any more."""
    taken: int = attrs.field(default=0, init=False)
    lent: int = attrs.field(default=0, init=False)
    """By requests that back off."""

    @classmethod
    def of(cls, concurrency: int, *, is_recorded: bool) -> Window:
        """Return the window of a batch of which so many requests can be in flight."""
        least = MIN_WINDOW_RECORDED if is_recorded else MIN_WINDOW
        return cls(max(least, WINDOW_PER_WORKER * concurrency))

    def widen(self, concurrency: int) -> bool:
        """Make room for more in flight, if it is too narrow; return whether it was."""
        was_narrow = 0 < self.size < WINDOW_PER_WORKER * concurrency
        if was_narrow:
            self.size = WINDOW_PER_WORKER * concurrency
        return was_narrow

    @property
    def is_full(self) -> bool:
        """Whether no further request may be read."""
        return self.taken >= self.size and self.taken - min(self.lent, self.size) >= self.size

    @property
    def is_worth_a_turn(self) -> bool:
        """Whether so many places are free that the feeder should have a turn for them."""
        return 8 * (self.size - self.taken + self.lent) >= self.size


@final
@attrs.define(eq=False)
class Feeder:
    """The one task that iterates over a source, and closes it."""

    source: Iterable[Prompt] | AsyncIterable[Prompt]
    take: Callable[[Prompt], None]
    """What becomes of each request; it takes a place for it."""
    window: Window
    read_at_once: int
    """After so many requests the feeder lets others run, full or not."""
    may_read: Callable[[], bool] = attrs.field(default=lambda: True)
    """Whether a batch that was stopped wants requests now, places or not."""
    done: bool = attrs.field(default=False, init=False)
    """Whether there will be no further request."""
    error: Exception | None = attrs.field(default=None, init=False)
    """What the source raised in the place of a request."""
    _stopped: bool = attrs.field(default=False, init=False)
    _reading: trio.CancelScope | None = attrs.field(default=None, init=False)
    _waiter: Waiter = attrs.field(factory=Waiter, init=False)

    async def run(self) -> None:  # noqa: ASYNC910  # it checkpoints as it reads
        """Read to the source's end, or to its error."""
        try:
            if isinstance(self.source, AsyncIterable):
                await self._read_async(self.source)
            else:
                await self._read(self.source)
        except Exception as error:  # noqa: BLE001  # the batch raises it, after what is in flight
            self.error = error
        self.done = True

    def wake(self) -> None:
        """Look for places again, if there are enough of them to be worth its while."""
        if self.window.is_worth_a_turn or self._stopped:
            self._waiter.wake()

    def raise_error(self) -> None:
        """Raise what the source raised, if it did; once.

        Raises:
            RuntimeError: It raised the end of an iteration where there was none.
        """
        error, self.error = self.error, None
        if isinstance(error, StopAsyncIteration | StopIteration):
            # Raised as it is, it would look like the end.
            midst = "the source of requests raised it in its midst"
            raise RuntimeError(midst) from error  # noqa: TRY004
        if error is not None:
            raise error

    def stop(self) -> None:
        """Wait no longer than a moment for each request from now on: none of them is sent."""
        self._stopped = True
        if self._reading is not None:
            self._reading.deadline = trio.current_time() + SOURCE_GRACE_S
        self._waiter.wake()

    async def _read(  # noqa: ASYNC910  # a short source costs no turn
        self, source: Iterable[Prompt]
    ) -> None:
        requests = iter(source)
        try:
            for count, request in enumerate(requests, start=1):
                self.take(request)
                if count % self.read_at_once == 0:
                    await trio.lowlevel.checkpoint()
                if self.window.is_full or self._stopped:
                    await self._wait_for_place()
        finally:
            close = getattr(requests, "close", None)
            if close is not None:
                close()

    async def _read_async(self, source: AsyncIterable[Prompt]) -> None:
        requests = aiter(source)
        try:
            while True:
                deadline = trio.current_time() + SOURCE_GRACE_S if self._stopped else math.inf
                # Whether a source waits is its own matter.
                with trio.CancelScope(deadline=deadline) as self._reading:  # noqa: ASYNC912
                    try:
                        request = await anext(requests)
                    except StopAsyncIteration:
                        return  # noqa: ASYNC910
                if self._reading.cancelled_caught:
                    return  # noqa: ASYNC910
                self._reading = None
                self.take(request)
                await self._wait_for_place()
        finally:
            self._reading = None
            close = getattr(requests, "aclose", None)
            if close is not None:
                with trio.move_on_after(SOURCE_GRACE_S, shield=True):
                    await close()

    async def _wait_for_place(self) -> None:  # noqa: ASYNC910  # for each request of a source
        while self.window.is_full or (self._stopped and not self.may_read()):
            await self._waiter.wait()
