"""The page around: nothing in it is asked of the network, and nothing foreign may run."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from tests.pages.samples import HOSTILE
from trillium.pages.markup import tag
from trillium.pages.shell import page

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">')


@pytest.fixture(scope="module")
def made() -> str:
    contents = tag("p", HOSTILE)
    return page(contents, title=HOSTILE, heading=HOSTILE, meta=HOSTILE, foot=HOSTILE)


def directives(made: str) -> dict[str, str]:
    found = POLICY.search(made)
    assert found is not None
    policy = found[1].replace("&#39;", "'")
    return dict(part.strip().split(" ", 1) for part in policy.split(";"))


def test_the_policy_forbids_all_but_this_style_and_this_program(made: str) -> None:
    policy = directives(made)
    assert policy["default-src"] == "'none'"
    for name, element in (("style-src", "style"), ("script-src", "script")):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", made, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[name] == f"'sha256-{digest}'"
    assert (policy["base-uri"], policy["form-action"]) == ("'none'", "'none'")
    assert made.index("Content-Security-Policy") < made.index("<style>")


def test_a_hostile_text_opens_no_element(made: str) -> None:
    assert made.count("<script>") == made.count("</script>") == 1
    assert "<img" not in made
    assert made.count("&lt;img src=x onerror=") == 5


def test_nothing_is_fetched_and_no_style_stands_at_an_element(made: str) -> None:
    style_and_program = re.compile(r"<(style|script)>.*?</\1>", re.DOTALL)
    rest = style_and_program.sub("", made)
    assert not re.search(r"<(link(?! rel=\"icon\" href=\"data:,\")|img|iframe|object)", rest)
    assert not re.search(r"<[^>]* (style|on\w+|src)=", rest)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|import\(", made)


def test_a_page_tells_its_language_and_fits_narrow_screens(made: str) -> None:
    assert made.startswith('<!doctype html>\n<html lang="en">')
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in made
    assert '<meta charset="utf-8">' in made[:200]
