"""How many connections a process may have: each is an open file, and those are bounded.

Where it has too many, nothing can be opened any more: no connection, and no file of a journal.
"""

from __future__ import annotations

import sys
from typing import Final

try:
    import resource
except ImportError:  # Windows, which bounds them elsewhere, and far above
    resource = None  # type: ignore[assignment]  # so that it can be asked for

KEPT_FREE: Final = 32
"""For all that is no connection: standard streams, files, the event loop's own."""
ENOUGH: Final = 4096
"""macOS refuses more than 10,240 although it says that there is no bound."""


def most_connections() -> int:
    """Return how many connections there may be at once, at least 1."""
    if resource is None:
        return sys.maxsize
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if now == resource.RLIM_INFINITY else max(1, now - KEPT_FREE)


def permit_more() -> None:
    """Raise this process's bound as far as it may, if it is a low one: for a program of ours."""
    if resource is None:
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if most == resource.RLIM_INFINITY else min(most, ENOUGH)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
