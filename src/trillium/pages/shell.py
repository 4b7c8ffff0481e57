"""The page around its contents: one file that holds all it needs and asks the network nothing.

Its Content-Security-Policy forbids every request, and every style and program but the two that
are written here, by their hashes; so even markup that slipped in could neither run nor call home.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Final

from trillium import __version__
from trillium.pages.markup import Html, joined, tag

# importlib.resources, which would say the same, takes 10 ms to be imported.
_FOLDER: Final = Path(__file__).parent
_PETAL: Final = "M12 12C7.6 9 7.8 4.4 12 .8C16.2 4.4 16.4 9 12 12Z"
_TURNS: Final = ("rotate(0 12 13)", "rotate(120 12 13)", "rotate(240 12 13)")


def page(*contents: str | None, title: str, heading: str, meta: str, foot: str) -> str:
    """Return a page.

    Args:
        contents: What is in it; None is left out.
        title: What its window is called.
        heading: What stands above it.
        meta: What stands below that, small.
        foot: What stands at the end, small: how the figures are to be read.
    """
    style, program = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(program)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="generator", content=f"trillium {__version__}"),
        # Without one a browser asks the server for it.
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", style),
    )
    body = tag(
        "body",
        tag(
            "div",
            _top(heading, meta),
            tag("main", *contents),
            tag(
                "footer",
                tag("p", foot),
                tag("p", f"Made by trillium {__version__}. Nothing in this page was fetched."),
            ),
            class_="page",
        ),
        tag("script", program),
    )
    return str(joined(Html("<!doctype html>\n"), tag("html", head, body, lang="en"), "\n"))


def _top(heading: str, meta: str) -> Html:
    petals = [tag("path", d=_PETAL, transform=turn) for turn in _TURNS]
    flower = tag("svg", *petals, viewBox="0 0 24 24", aria_hidden="true")
    return tag(
        "header",
        tag(
            "div",
            tag("p", flower, tag("span", "trillium"), class_="brand"),
            tag("h1", heading),
            tag("p", meta, class_="meta"),
        ),
        # The page's program shows it: without one it could do nothing.
        tag("button", "Dark", type="button", class_="theme", hidden=True),
        class_="top",
    )


@functools.cache
def _asset(name: str) -> Html:
    """Return a file of this folder: our own, so it is markup as it is."""
    text = (_FOLDER / name).read_text("utf-8")
    assert "</" not in text, "it would end its element"
    return Html(text)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def section(heading: str, *contents: str | None) -> Html:
    """Return a part of a page with its heading."""
    return tag("section", tag("h2", heading), *contents)
