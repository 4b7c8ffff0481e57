"""The progress of a batch: one live line on a terminal, plain lines elsewhere.

It is drawn by a task of the run, without a thread, and reads counts that are kept anyway: what it
costs depends on the time, not on the number of requests.
"""

from __future__ import annotations

import enum
import sys
from typing import Final

import trio

from trillium._batch.progress import Progress, ProgressLook
from trillium._money.amounts import shown
from trillium.cli.terminal import Line, is_terminal, plain, write_error

REDRAW_S: Final = 0.1
"""As often as people can read; a redraw costs about 1 ms."""
FIRST_PLAIN_S: Final = 0.2
"""Soon, so that people see that something is being done."""
PLAIN_S: Final = 5.0
"""Seldom, so that a night's log stays short."""


class Display(enum.Enum):
    """How progress is shown."""

    LIVE = enum.auto()
    """One line that is drawn again and again."""
    PLAIN = enum.auto()
    """A line every few seconds."""
    NONE = enum.auto()


def display_for(*, wanted: bool, answers_on_terminal: bool = False) -> Display:
    """Return how progress is shown on standard error.

    Args:
        wanted: Whether it is to be shown at all.
        answers_on_terminal: Whether answers appear on the same terminal, between which a line
            cannot be redrawn.
    """
    if not wanted or answers_on_terminal:
        return Display.NONE
    return Display.LIVE if is_terminal(sys.stderr) else Display.PLAIN


async def show_progress(progress: Progress, display: Display) -> None:
    """Show progress on standard error until cancelled, and once more then."""
    if display is Display.LIVE:
        await _show_live(progress)
    elif display is Display.PLAIN:
        await _show_plainly(progress)
    else:
        await trio.sleep_forever()


async def _show_live(progress: Progress) -> None:
    from rich.console import Console  # noqa: PLC0415  # 60 ms that only a terminal needs
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True)

    def drawn() -> Text:
        line = progress_line(progress.look(trio.current_time()), width=console.width)
        return Text.assemble(*line, no_wrap=True, overflow="ellipsis")

    with Live(drawn(), console=console, auto_refresh=False, redirect_stdout=False) as live:
        try:
            while True:
                await trio.sleep(REDRAW_S)
                live.update(drawn(), refresh=True)
        finally:
            live.update(drawn())  # drawn when the block is left


async def _show_plainly(progress: Progress) -> None:
    def show() -> None:
        write_error(plain(progress_line(progress.look(trio.current_time()))) + "\n")

    shown = False
    try:
        await trio.sleep(FIRST_PLAIN_S)
        while True:
            show()
            shown = True
            await trio.sleep(PLAIN_S)
    finally:
        if not shown:
            show()


def progress_line(look: ProgressLook, *, width: int | None = None) -> Line:
    """Return one line that says where a batch is.

    Args:
        look: Where it is.
        width: How many characters there are; what matters least is left out to keep within it.
    """
    pieces = _pieces(look, requests="requests", tokens="tokens")
    if width is not None and _length(pieces) > width:
        pieces = _pieces(look, requests="req", tokens="tok")
        zeros = [name for name in ("retrying", "failed") if not getattr(look, name)]
        few = ("in_flight", *zeros[:1], "waiting", *zeros[1:], "requests", "tokens", "cost")
        for name in few:
            if _length(pieces) <= width:
                break
            pieces.pop(name, None)
    parted: list[tuple[str, str]] = []
    for piece in pieces.values():
        parted += [(", ", ""), piece] if parted else [piece]
    return parted


def _pieces(look: ProgressLook, *, requests: str, tokens: str) -> dict[str, tuple[str, str]]:
    of_all = "" if look.total is None else f" of {look.total:,}"
    pieces = {
        "completed": (f"{look.completed:,}{of_all} done", "green" if look.completed else ""),
        "failed": (f"{look.failed:,} failed", "red" if look.failed else ""),
        "in_flight": (f"{look.in_flight:,} in flight", ""),
        "waiting": ("" if look.waiting is None else f"{look.waiting:,} waiting", ""),
        "retrying": (f"{look.retrying:,} retrying", "yellow" if look.retrying else ""),
        "requests": (f"{rate(look.requests_per_s)} {requests}/s", ""),
        "tokens": (f"{rate(look.tokens_per_s)} {tokens}/s", ""),
        "cost": (_money(look), ""),
        "held": (f"held back {clock(look.held_s)}" if look.held_s >= 1 else "", "yellow"),
        "left": (f"ETA {clock(look.left_s)}" if look.left_s else "", ""),
    }
    return {name: piece for name, piece in pieces.items() if piece[0]}


def _money(look: ProgressLook) -> str:
    if look.budget is not None:
        return f"{shown(look.budget.spent_usd)} of {shown(look.budget.limit_usd)}"
    return shown(look.cost_usd) if look.cost_usd else ""


def _length(pieces: dict[str, tuple[str, str]]) -> int:
    return sum(len(text) + len(", ") for text, _ in pieces.values()) - len(", ")


def rate(per_s: float) -> str:
    """Return a rate in few digits."""
    return f"{per_s:,.0f}" if per_s >= 10 or not per_s else f"{per_s:.1f}"


def clock(seconds: float) -> str:
    """Return seconds as `0:05` or `1:02:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
