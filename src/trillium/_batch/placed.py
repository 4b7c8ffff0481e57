"""A request that says its own place: its source leaves out what an earlier run has answered."""

from __future__ import annotations

from typing import final

import attrs

from trillium.messages import Request


@final
@attrs.frozen
class Placed:
    """A request, and its index in the whole of the input."""

    index: int
    request: Request
