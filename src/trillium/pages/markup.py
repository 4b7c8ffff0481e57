"""HTML and SVG out of text that may come from anywhere: what is not made here is escaped.

A text becomes markup in one place (`escaped`), and tags are made by one function; so a model's
name, an id or a server's message ends no element and begins none, whatever is in it.
"""

from __future__ import annotations

from typing import Final, final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_ESCAPES: Final = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    ord("'"): "&#39;",
    # HTML, "Preprocessing the input stream": controls are errors there, and show as nothing.
    **dict.fromkeys((*range(9), 11, *range(14, 32), *range(127, 160)), _REPLACEMENT),
    # They turn what follows around: a name could pass for another.
    **dict.fromkeys((*range(8234, 8239), *range(8294, 8298)), _REPLACEMENT),
    # Halves of a surrogate pair cannot be written to a file.
    **dict.fromkeys(range(55296, 57344), _REPLACEMENT),
}
_VOID: Final = frozenset({"br", "col", "link", "meta"})

Value = str | int | float | bool | None


@final
class Html(str):
    """Markup: stands in a page as it is."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Return a text as markup that shows it, in an element as well as in a quoted attribute."""
    return text if isinstance(text, Html) else Html(text.translate(_ESCAPES))


def tag(name: str, /, *children: str | None, **attributes: Value) -> Html:
    """Return an element.

    Args:
        name: Of the element; never from outside.
        children: What is in it: markup as it is, text escaped, None left out.
        attributes: By name, with `_` for `-` and one at the end dropped (`class_`). None and False
            leave an attribute out, True gives it no value. Names are never from outside.
    """
    pieces = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written = key.removesuffix("_").replace("_", "-")
        pieces.append(f" {written}" if value is True else f' {written}="{_value(value)}"')
    pieces.append(">")
    if name in _VOID:
        return Html("".join(pieces))
    pieces += [escaped(child) for child in children if child is not None]
    pieces.append(f"</{name}>")
    return Html("".join(pieces))


def joined(*pieces: str | None) -> Html:
    """Return pieces after each other: markup as it is, text escaped, None left out."""
    return Html("".join(escaped(piece) for piece in pieces if piece is not None))


def _value(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escaped(value) if isinstance(value, str) else str(value)


def percent(share: float) -> str:
    """Return a share of the width, for the coordinates of SVG."""
    return f"{share * 100:.3f}".rstrip("0").rstrip(".") + "%"
