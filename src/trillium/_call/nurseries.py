"""A nursery that is nobody's business: what a lone error in it looks like outside.

Any exception out of a nursery arrives in a group, also one that the block itself raised.
Where the nursery is a detail inside a context manager, users shall be able to write a plain
`except`, so a group of one is opened. Two real errors stay a group.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_private_nursery() -> AsyncGenerator[trio.Nursery]:
    """Open a nursery whose group of one error, cancellations aside, arrives as that error."""
    lone: BaseException
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
        return
    except BaseExceptionGroup as group:
        found = lone_error(group)
        if found is None:
            raise
        lone = found
    # Raised out here, or the group would become its context. Its own stays as it was.
    context = lone.__context__
    try:
        raise lone
    finally:
        lone.__context__ = context
        del lone, context


def lone_error(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the one error of the group that is no cancellation; None if there is no such one.

    A group inside that the user raised is one error: only the nursery's own layer is opened.
    """
    errors = [error for error in group.exceptions if not _is_cancellation(error)]
    return errors[0] if len(errors) == 1 else None


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cancellation(inner) for inner in error.exceptions)
    return isinstance(error, trio.Cancelled)
