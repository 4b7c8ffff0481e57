"""Pages for people: what a comparison or a batch has found, as one HTML file each.

What belongs here: pure functions from records to text. What is measured or read does not.
"""

from __future__ import annotations

from trillium.pages.batch import batch_page
from trillium.pages.comparison import comparison_page

__all__ = ["batch_page", "comparison_page"]
