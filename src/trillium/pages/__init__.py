"""Pages for people: what a comparison or a batch has found, as one HTML file each.

What belongs here: pure functions from records to text. What is measured or read does not. Public
is the page of a comparison; that of a batch is made by `trillium report`.
"""

from __future__ import annotations

from trillium.pages.comparison import comparison_page

__all__ = ["comparison_page"]

# Tracebacks and docs name this module.
comparison_page.__module__ = __name__
