"""Both pages in a real browser: they show what they should, and do nothing else."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Browser
from tests.pages.samples import HOSTILE, compared, comparison, report, three
from trillium.pages import comparison_page
from trillium.pages.batch import batch_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Written = Callable[[str, str], Path]


@pytest.fixture(params=["comparison", "batch"])
def page(request: pytest.FixtureRequest, written: Written, tmp_path: Path) -> Path:
    if request.param == "comparison":
        return written("comparison", comparison_page(three()))
    return written("batch", batch_page(report(tmp_path / "answers.jsonl")))


@pytest.fixture
def compared_page(written: Written) -> Path:
    return written("comparison", comparison_page(three()))


COLORS = """
const [png, done] = arguments;
const image = new Image();
image.onload = () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(
    context.getImageData(0, 0, image.width, image.height).data.buffer);
  const seen = new Map();
  for (const pixel of pixels) seen.set(pixel, (seen.get(pixel) ?? 0) + 1);
  done([seen.size, Math.max(...seen.values()) / pixels.length]);
};
image.src = "data:image/png;base64," + png;
"""


def colors(browser: Browser) -> tuple[int, float]:
    """Return how many colours the window shows, and the share of the most frequent."""
    png = base64.b64encode(browser.chrome.get_screenshot_as_png()).decode()
    browser.chrome.get("about:blank")
    count, share = browser.chrome.execute_async_script(COLORS, png)
    return count, share


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_is_not_blank(browser: Browser, page: Path, dark: bool) -> None:
    browser.open(page, dark=dark)
    count, share = colors(browser)
    assert count > 100
    assert share < 0.95


def test_the_comparison_shows_a_row_for_each_model(browser: Browser, compared_page: Path) -> None:
    browser.open(compared_page)
    assert first_column(browser) == ["dear", "cheap", "quick"]
    assert browser.run("return document.querySelectorAll('figure.chart svg.area').length") == 3
    assert browser.run("return document.querySelectorAll('circle.dot').length") == 90


def test_the_batch_shows_its_models_errors_and_slowest(
    browser: Browser, written: Written, tmp_path: Path
) -> None:
    browser.open(written("batch", batch_page(report(tmp_path / "answers.jsonl"))))
    rows = "return document.querySelectorAll(`#${arguments[0]} tbody tr`).length"
    assert [browser.run(rows, name) for name in ("models", "errors", "slowest")] == [3, 2, 20]
    assert browser.run("return document.querySelectorAll('figure.chart svg.area').length") == 5


def first_column(browser: Browser) -> list[str]:
    cells: list[str] = browser.run(
        "return Array.from(document.querySelectorAll('#models tbody th'), cell => "
        "cell.childNodes[1].textContent)"
    )
    return cells


def click_on(browser: Browser, column: int) -> str:
    """Click on a column's head; return how it is sorted now."""
    browser.chrome.find_element(
        By.CSS_SELECTOR, f"#models th[data-column='{column}'] button"
    ).click()
    sorts: list[str] = browser.run(
        "return Array.from(document.querySelectorAll('#models th[aria-sort]'), head => "
        "`${head.dataset.column} ${head.getAttribute('aria-sort')}`)"
    )
    (sort,) = sorts
    return sort


def test_a_click_sorts_and_a_second_one_the_other_way(
    browser: Browser, compared_page: Path
) -> None:
    browser.open(compared_page)
    assert click_on(browser, 2) == "2 ascending"
    assert first_column(browser) == ["quick", "dear", "cheap"]
    assert click_on(browser, 2) == "2 descending"
    assert first_column(browser) == ["cheap", "dear", "quick"]
    assert click_on(browser, 0) == "0 ascending"
    assert first_column(browser) == ["cheap", "dear", "quick"]
    assert click_on(browser, 11) == "11 descending"
    assert first_column(browser) == ["cheap", "quick", "dear"]


def test_what_is_not_known_is_sorted_to_the_end_both_ways(
    browser: Browser, written: Written
) -> None:
    models = [compared("free", usd=None), compared("dear", usd="0.002"), compared("cheap")]
    browser.open(written("page", comparison_page(comparison(models))))
    click_on(browser, 10)
    assert first_column(browser) == ["cheap", "dear", "free"]
    click_on(browser, 10)
    assert first_column(browser) == ["dear", "cheap", "free"]


def background(browser: Browser) -> str:
    color: str = browser.run("return getComputedStyle(document.body).backgroundColor")
    return color


def test_the_button_switches_between_light_and_dark_and_is_remembered(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    light = background(browser)
    button = browser.chrome.find_element(By.CSS_SELECTOR, "button.theme")
    assert button.text == "Dark"
    button.click()
    dark = background(browser)
    assert dark != light
    assert button.text == "Light"
    browser.open(page)
    assert background(browser) == dark
    browser.chrome.find_element(By.CSS_SELECTOR, "button.theme").click()
    assert background(browser) == light


def test_without_a_choice_the_system_decides(browser: Browser, page: Path) -> None:
    browser.open(page)
    light = background(browser)
    browser.open(page, dark=True)
    assert background(browser) != light


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_a_page_fits_its_window(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = browser.run(
        "return Array.from(document.querySelectorAll('main *'))"
        ".filter(one => !one.closest('.scroll') && !one.closest('svg') && "
        "one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML)"
    )
    assert outside == []


CUT_OFF = """
return Array.from(document.querySelectorAll('.scroll'))
  .filter(one => one.scrollWidth > one.clientWidth).length
"""


def test_on_a_wide_window_all_columns_are_seen(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.run(CUT_OFF) == 0


def test_a_plot_tells_its_numbers_where_the_pointer_is(browser: Browser, page: Path) -> None:
    browser.open(page)
    target = browser.chrome.find_element(By.CSS_SELECTOR, "svg.over [data-tip]")
    browser.scroll_to(target)
    ActionChains(browser.chrome).move_to_element(target).perform()
    tip = browser.chrome.find_element(By.CSS_SELECTOR, ".tip")
    assert tip.is_displayed()
    assert tip.get_property("textContent") == target.get_attribute("data-tip")
    box: dict[str, Any] = browser.run("return arguments[0].getBoundingClientRect()", tip)
    assert box["left"] >= 0
    assert box["right"] <= 1400


def test_the_arrows_go_through_the_numbers_of_a_plot(browser: Browser, page: Path) -> None:
    browser.open(page)
    plot = browser.chrome.find_element(By.CSS_SELECTOR, "svg.area:has([data-tip])")
    targets = plot.find_elements(By.CSS_SELECTOR, "[data-tip]")
    tip = browser.chrome.find_element(By.CSS_SELECTOR, ".tip")
    browser.scroll_to(plot)
    browser.run("arguments[0].focus({preventScroll: true})", plot)
    for key, place in [
        (Keys.ARROW_RIGHT, 0),
        (Keys.ARROW_RIGHT, 1),
        (Keys.END, len(targets) - 1),
        (Keys.ARROW_RIGHT, len(targets) - 1),
        (Keys.ARROW_LEFT, len(targets) - 2),
        (Keys.HOME, 0),
        (Keys.ARROW_LEFT, 0),
    ]:
        ActionChains(browser.chrome).send_keys(key).perform()
        assert tip.is_displayed()
        assert tip.get_property("textContent") == targets[place].get_attribute("data-tip")
    ActionChains(browser.chrome).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


def test_tab_leaves_a_plot_and_its_tip(browser: Browser, page: Path) -> None:
    browser.open(page)
    plot = browser.chrome.find_element(By.CSS_SELECTOR, "svg.area:has([data-tip])")
    browser.scroll_to(plot)
    browser.run("arguments[0].focus({preventScroll: true})", plot)
    ActionChains(browser.chrome).send_keys(Keys.ARROW_RIGHT, Keys.TAB).perform()
    assert browser.chrome.switch_to.active_element != plot
    assert not browser.chrome.find_element(By.CSS_SELECTOR, ".tip").is_displayed()


def test_hostile_names_neither_run_nor_break_the_page(
    browser: Browser, written: Written, tmp_path: Path
) -> None:
    models = [compared(HOSTILE, endpoint=HOSTILE), compared("b", failures=1)]
    browser.open(written("comparison", comparison_page(comparison(models))))
    assert browser.run("return window.broken") is None
    assert browser.run("return document.querySelectorAll('main img, main script').length") == 0
    found = report(tmp_path / "answers.jsonl")
    hostile = attrs.evolve(found, source=HOSTILE, parameters={HOSTILE: HOSTILE})
    browser.open(written("batch", batch_page(hostile)))
    assert browser.run("return window.broken") is None
    assert browser.run("return document.querySelectorAll('main img, main script').length") == 0


def test_the_policy_stops_what_would_slip_in(browser: Browser, compared_page: Path) -> None:
    """An element that did get in is neither run nor fetched; the browser says so."""
    page = compared_page.read_text("utf-8")
    slipped = "<script>window.broken = 1</script><img src='https://example.invalid/x.png'>"
    compared_page.write_text(page.replace("</main>", f"{slipped}</main>"), "utf-8")
    browser.open(compared_page)
    browser.look()
    assert browser.run("return window.broken") is None
    assert len(browser.complaints) == 2
    assert all("Content Security Policy" in complaint for complaint in browser.complaints)
    browser.complaints.clear()


EMPTY_STATES = {
    "one": lambda: comparison([compared("a")]),
    "unknown": lambda: comparison([compared("a", usd=None), compared("b", usd=None)]),
    "failed": lambda: comparison([compared("a", answers=0, failures=2), compared("b", answers=0)]),
    "free": lambda: comparison([compared("a", usd="0"), compared("b", usd="0")]),
    "alike": lambda: comparison([compared("a", answers=1), compared("a", answers=1)]),
}


@pytest.mark.parametrize("state", EMPTY_STATES)
def test_a_comparison_with_little_in_it_is_whole(
    browser: Browser, written: Written, state: str
) -> None:
    browser.open(written(state, comparison_page(EMPTY_STATES[state]())), width=360)
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    assert browser.run("return document.body.innerText.includes('NaN')") is False


@pytest.mark.parametrize("fields", [{"cost_usd": None}, {"cost_usd": Decimal(0)}, {"usage": None}])
def test_a_batch_with_little_in_it_is_whole(
    browser: Browser, written: Written, tmp_path: Path, fields: dict[str, Any]
) -> None:
    found = report(tmp_path / "answers.jsonl", requests=3, **fields)
    browser.open(written("batch", batch_page(attrs.evolve(found, errors=()))), width=360)
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    browser.open(written("timeless", batch_page(attrs.evolve(found, timeline=None))))


def test_a_printed_page_is_light_and_has_no_button(browser: Browser, page: Path) -> None:
    """A4 less its margins is 688 pixels wide: all columns are on the paper."""
    browser.open(page, dark=True, width=688)
    browser.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.run(CUT_OFF) == 0
        assert background(browser) == "rgb(255, 255, 255)"
        hidden = "return getComputedStyle(document.querySelector('button.theme')).display"
        assert browser.run(hidden) == "none"
        assert len(base64.b64decode(browser.chrome.print_page())) > 10_000
    finally:
        browser.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


CONTRAST = """
const light = (color) => {
  const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const color = getComputedStyle(one).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)") return color;
  }
};
const found = new Map();
for (const one of document.querySelectorAll("body *:not(script)")) {
  const own = Array.from(one.childNodes).some(n => n.nodeType === 3 && n.data.trim());
  if (!own || !one.checkVisibility()) continue;
  const style = getComputedStyle(one);
  const color = one.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(color), light(behind(one))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) found.set(`${one.tagName}.${one.getAttribute("class")}`, ratio);
}
return Array.from(found);
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(browser: Browser, page: Path, dark: bool) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    browser.open(page, dark=dark)
    assert browser.run(CONTRAST) == []


def test_tables_and_plots_are_named_for_those_who_do_not_see_them(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    unnamed = browser.run(
        "return Array.from(document.querySelectorAll('svg:not([aria-hidden]), table, button'))"
        ".filter(one => !one.parentElement.closest('svg'))"
        ".filter(one => !(one.getAttribute('aria-label') || one.textContent.trim())).length"
    )
    assert unnamed == 0
    levels = browser.run(
        "return Array.from(document.querySelectorAll('h1,h2,h3'), one => Number(one.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
