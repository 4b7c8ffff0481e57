"""What comes from outside is text, wherever it stands."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from tests.pages.samples import HOSTILE
from trillium.pages.markup import Html, escaped, joined, percent, tag

anything = st.text(st.characters(exclude_categories=[]))


class Seen(HTMLParser):
    """What a parser finds in markup."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(anything)
@example(HOSTILE)
@example('"><b>')
def test_a_text_is_a_text_in_an_element_and_in_an_attribute(text: str) -> None:
    seen = Seen(tag("p", text, title=text))
    assert [name for name, _ in seen.tags] == ["p"]
    ((_, attributes),) = seen.tags
    assert attributes == [("title", seen.text or "")]
    plain = [character for character in text if character.isprintable()]
    assert [character for character in seen.text if character in plain] == plain


@given(anything)
def test_what_is_escaped_can_be_written_and_holds_no_controls(text: str) -> None:
    written = escaped(text)
    written.encode()
    assert not {"<", ">", '"', "'", "\0", "\x1b", "\u202e"} & set(written)


def test_markup_stands_as_it_is_and_is_escaped_once() -> None:
    inner = tag("b", "a & b")
    assert inner == "<b>a &amp; b</b>"
    assert escaped(inner) is inner
    assert tag("p", inner, None, " <") == "<p><b>a &amp; b</b> &lt;</p>"
    assert joined(inner, None, "&") == "<b>a &amp; b</b>&amp;"
    assert isinstance(joined(), Html)


def test_attributes_are_written_by_their_kind() -> None:
    made = tag("i", class_="a", data_tip="1 < 2", hidden=True, open=False, id=None, x=1.50, y=2)
    assert made == '<i class="a" data-tip="1 &lt; 2" hidden x="1.5" y="2"></i>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_shares_are_percents() -> None:
    assert [percent(share) for share in (0, 0.5, 1 / 3, 1)] == ["0%", "50%", "33.333%", "100%"]
