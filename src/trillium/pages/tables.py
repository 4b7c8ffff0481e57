"""Tables that the page's program sorts, and that are whole without it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, final

import attrs

from trillium.pages.formats import MISSING
from trillium.pages.markup import Html, joined, tag


@final
@attrs.frozen
class Column:
    """A column's head."""

    title: str
    numeric: bool = True
    """Set to the right, and sorted as numbers."""
    falls_first: bool = False
    """Whether the first click puts the largest on top, as where more is better."""
    says: str = ""
    """What it means, for those who point at it."""


@final
@attrs.frozen
class Cell:
    """What is shown, and what it is sorted by; None where there is nothing to sort."""

    shown: str
    value: str | float | Decimal | None
    class_: str = ""


LATENCY_COLUMNS: Final = tuple(
    Column(percent, says=f"{share} were there within this time, retries included")
    for percent, share in (
        ("p50", "half of the answers"),
        ("p90", "nine in ten answers"),
        ("p99", "99 in 100 answers"),
    )
)
MISSING_CELL: Final = Cell(MISSING, None, "soft")


def cell(shown: str, value: float | Decimal | None, *, best: bool = False) -> Cell:
    """Return the cell of a number; one that is not known looks and sorts as such."""
    return MISSING_CELL if value is None else Cell(shown, value, "best" if best else "")


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    name: str,
    says: str,
    groups: Sequence[tuple[str, int]] = (),
) -> Html:
    """Return a table whose first column names the rows.

    Args:
        columns: Their heads.
        rows: As many cells as columns, each.
        name: Its id in the page.
        says: What it is of, for those who do not see it.
        groups: A row above the heads: pairs of a title and how many columns it spans.
    """
    above = tag("tr", *(_group(title, span) for title, span in groups)) if groups else None
    heads = [_head(column, place) for place, column in enumerate(columns)]
    body = [_row(columns, row) for row in rows]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", above, tag("tr", *heads)),
            tag("tbody", *body),
            id=name,
            class_="sortable",
            aria_label=says,
        ),
        class_="scroll",
        # What scrolls must be within reach of the keyboard.
        tabindex="0",
        role="region",
        aria_label=says,
    )


def _group(title: str, span: int) -> Html:
    if not title:
        return tag("td", colspan=span, class_="group")
    return tag("th", tag("span", title), colspan=span, scope="colgroup", class_="group")


def _head(column: Column, place: int) -> Html:
    return tag(
        "th",
        column.title,
        scope="col",
        class_="num" if column.numeric else None,
        data_column=place,
        data_first="down" if column.falls_first else None,
        title=column.says or None,
    )


def _row(columns: Sequence[Column], cells: Sequence[Cell]) -> Html:
    assert len(cells) == len(columns), "a row has a cell for each column"
    written = []
    for place, (column, found) in enumerate(zip(columns, cells, strict=True)):
        classes = " ".join(filter(None, ("num" if column.numeric else "", found.class_)))
        value = "" if found.value is None else str(found.value)
        shown = found.shown
        if place:
            written.append(tag("td", shown, class_=classes or None, data_value=value))
        else:
            written.append(tag("th", shown, scope="row", class_=classes or None, data_value=value))
    return tag("tr", *written)


def named(color: str, name: str) -> Html:
    """Return a name with the colour that stands for it in the plots."""
    return joined(tag("i", class_=f"key {color}", aria_hidden="true"), name)


def facts(entries: Sequence[tuple[str, str]]) -> Html:
    """Return a list of names and what they are."""
    pieces = [piece for name, said in entries for piece in (tag("dt", name), tag("dd", said))]
    return tag("dl", *pieces, class_="facts")


@final
@attrs.frozen(kw_only=True)
class Card:
    """A figure that stands for itself."""

    title: str
    value: str
    more: str = ""
    is_name: bool = False
    """Whether it is a name rather than a number: set smaller."""


def cards(entries: Sequence[Card]) -> Html:
    """Return figures side by side."""
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", entry.title),
                tag("dd", entry.value, class_="value name" if entry.is_name else "value"),
                tag("dd", entry.more, class_="more") if entry.more else None,
                class_="card",
            )
            for entry in entries
        ),
        class_="cards",
    )
