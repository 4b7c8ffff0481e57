"""Items that go from one side to the other, in order, in groups, and no more than have room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar, final

import attrs

ItemT = TypeVar("ItemT")

ROOM: Final = 32
"""Items under way at most. Crossing costs some 20 µs, an item less than 1: among as many the
crossing is shared, and as many reads of a socket stay below 2 MB."""


@final
@attrs.define(eq=False)
class Pipe(Generic[ItemT]):
    """One side puts items in, the other takes them out; each in its own thread.

    A side that has to wait says so first and then looks again; the other looks for that after it
    did something. So no wake-up is lost, and none is sent to a side that is at work anyway.
    """

    wake_taker: Callable[[], object]
    """Called in the putter's thread when a waiting taker has something to take."""
    wake_putter: Callable[[], object]
    """Called in the taker's thread when a waiting putter has room again."""
    ended: bool = attrs.field(default=False, init=False)
    """Whether nothing more is put in."""
    error: BaseException | None = attrs.field(default=None, init=False)
    """Why, if not because there was no more."""
    _items: deque[ItemT] = attrs.field(factory=deque, init=False)
    _taker_waits: bool = attrs.field(default=False, init=False)
    _putter_waits: bool = attrs.field(default=False, init=False)

    # The putter's.

    def put(self, item: ItemT) -> None:
        """Put an item in, whether or not there is room."""
        self._items.append(item)
        self.tell()

    def has_room(self) -> bool:
        """Whether more should be put in; if not, the putter will be woken."""
        if len(self._items) < ROOM:
            return True
        self._putter_waits = True
        return len(self._items) < ROOM

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes, and why."""
        self.error = error
        self.ended = True
        self.tell()

    def tell(self) -> None:
        """Wake the taker, if it waits."""
        if self._taker_waits:
            self._taker_waits = False
            self.wake_taker()

    # The taker's.

    def is_ready(self) -> bool:
        """Whether there is an item, or the end; if not, the taker will be woken."""
        if self._items or self.ended:
            return True
        self._taker_waits = True
        return bool(self._items) or self.ended

    def is_drained(self) -> bool:
        """Whether all was taken, and nothing more comes."""
        return self.ended and not self._items

    def take(self) -> ItemT:
        """Return the next item.

        Raises:
            StopIteration: There is none, and none comes.
            BaseException: There is none, for what ended it was this error; it is raised once.
        """
        if self._items:
            item = self._items.popleft()
            if self._putter_waits and len(self._items) <= ROOM // 2:
                self._putter_waits = False
                self.wake_putter()
            return item
        if self.error is not None:
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error  # or its traceback would hold it
        raise StopIteration
