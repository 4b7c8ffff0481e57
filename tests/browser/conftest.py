"""A real browser: Debian's chromium and its driver, on pages from files.

Selenium fetches a driver by itself where none is named; here both programs are named, and where
they are missing the tests fail and say so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise RuntimeError(f"{names[0]} is not there: apt-get install chromium chromium-driver")


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(program("chromedriver")))
    yield driver
    driver.quit()


class Browser:
    """A page in the browser, and what it did."""

    def __init__(self, chrome: Chrome) -> None:
        self.chrome = chrome
        self.requested: dict[str, str] = {}
        """Addresses that pages have asked for, by the request; less what a policy has stopped."""
        self.complaints: list[str] = []
        """What stands on the console."""

    def open(self, path: Path, *, width: int = 1400, dark: bool = False) -> None:
        """Show a file, in a window of a width, on a system in light or dark colours."""
        theme = "dark" if dark else "light"
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self._do("Emulation.setEmulatedMedia", features=features)
        self.resize(width)
        self.chrome.get(path.as_uri())
        self.look()

    def resize(self, width: int, height: int = 900) -> None:
        """Make the window as wide and high as this, in pixels."""
        self._do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def look(self) -> None:
        """Note what was asked for and complained of since the last look."""
        for entry in self.chrome.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            event = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                self.requested[event["requestId"]] = event["request"]["url"]
            elif event.get("blockedReason") == "csp":
                self.requested.pop(event["requestId"], None)
        self.complaints += [entry["message"] for entry in self.chrome.get_log("browser")]

    def run(self, program: str, *arguments: object) -> Any:
        """Return what a function body in JavaScript returns."""
        return self.chrome.execute_script(program, *arguments)

    def scroll_to(self, element: WebElement) -> None:
        """Bring an element into the window, and wait until the page knows."""
        self.chrome.execute_async_script(
            "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'});"
            "requestAnimationFrame(() => requestAnimationFrame(arguments[1]));",
            element,
        )

    def _do(self, command: str, **arguments: object) -> None:
        self.chrome.execute_cdp_cmd(command, arguments)


@pytest.fixture
def browser(chrome: Chrome) -> Iterator[Browser]:
    """A browser on whose pages nothing may go wrong, and that asks for nothing but their files."""
    found = Browser(chrome)
    chrome.get("about:blank")  # the browser's own first page asks for a lot of its own
    found.look()
    found.requested.clear()
    yield found
    found.look()
    chrome.execute_script("try { localStorage.clear(); } catch {}")
    assert found.complaints == []
    foreign = [url for url in found.requested.values() if not url.startswith(("file:", "data:"))]
    assert foreign == []


Pages = Callable[[str, str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Pages:
    """Write a page to a file."""

    def write(name: str, page: str) -> Path:
        path = tmp_path / f"{name}.html"
        path.write_text(page, "utf-8")
        return path

    return write
