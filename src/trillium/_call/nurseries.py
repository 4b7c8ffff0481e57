"""A nursery that is nobody's business: what a lone error in it looks like outside.

Any exception out of a nursery arrives in a group, also one that the block itself raised.
Where the nursery is a detail inside a context manager, users shall be able to write a plain
`except`, so a group of one is opened. Two real errors stay a group, unless one of them is Ctrl-C.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_private_nursery() -> AsyncGenerator[trio.Nursery]:
    """Open a nursery whose group of one error, cancellations aside, arrives as that error.

    It arrives with the context and cause that it had. An error of the block is the very object
    that the block raised. Where there are cancellations alone, one of them arrives.

    Raises:
        BaseExceptionGroup: Two errors or more, as a nursery raises them.
        KeyboardInterrupt: Ctrl-C; if there were other errors, its cause is the group of all.
    """
    of_block: BaseException | None = None
    seen: BaseException | None = None
    try:
        try:
            async with trio.open_nursery() as nursery:
                try:
                    yield nursery
                except BaseException as error:
                    of_block = error
                    raise
            return
        except BaseExceptionGroup as group:
            seen = _seen_outside(group, of_block)
            if seen is group:
                raise
        # Raised out here, or the group would become its context. Its own stays as it was.
        context = seen.__context__
        try:
            raise seen
        finally:
            seen.__context__ = context
            del context
    finally:
        del of_block, seen  # or the frame in the error's traceback would hold the error


def lone_error(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the one error of the group that is no cancellation; None if there is no such one.

    A group inside that the user raised is one error: only the nursery's own layer is opened.
    """
    errors = [error for error in group.exceptions if not _is_cancellation(error)]
    return errors[0] if len(errors) == 1 else None


def _seen_outside(
    group: BaseExceptionGroup[BaseException], of_block: BaseException | None
) -> BaseException:
    if _is_cancellation(group):
        return group.exceptions[0] if of_block is None else of_block
    lone = lone_error(group)
    if lone is None:
        return _interrupt(group) or group
    if of_block is None or _has_cancellation(of_block):
        return lone
    # A nursery that was cancelled takes its cancellations out of groups by making new groups,
    # also where there were none in them: the user's own would come out as another object.
    return of_block


def _interrupt(group: BaseExceptionGroup[BaseException]) -> KeyboardInterrupt | None:
    """Return a Ctrl-C for a group that holds one, so that it stops the program as ever."""
    for error in group.exceptions:
        if isinstance(error, KeyboardInterrupt):
            interrupt = KeyboardInterrupt(*error.args)  # a new one, for the group holds the old
            interrupt.__cause__ = group
            return interrupt
    return None


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cancellation(inner) for inner in error.exceptions)
    return isinstance(error, trio.Cancelled)


def _has_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_has_cancellation(inner) for inner in error.exceptions)
    return isinstance(error, trio.Cancelled)
