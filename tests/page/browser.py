"""Pages in headless Chromium: what a reader sees, and everything the browser complains about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium under Playwright; a test without one is skipped and says what to install."""
    driver = pytest.importorskip("playwright.sync_api", reason="no browser test without Playwright; run: pip install playwright")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser test without Chromium; run: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


class Opened:
    """A page, what it asked for beside itself, and what went wrong on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(60_000)  # the machine may be busy
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self.requests.append(request.url))

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @property
    def foreign(self) -> list[str]:
        """Requests for anything but the page itself; pictures that lie in the page are part of it."""
        return [url for url in self.requests[1:] if not url.startswith(("data:", "blob:"))]


@contextmanager
def opened(browser: Any, file: Path, width: int = 1440, scheme: Literal["light", "dark"] = "light", **settings: Any) -> Iterator[Opened]:
    """`file` in a window `width` pixels wide, its charts drawn; fails at the end if the page complained or asked the network for something."""
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **settings) as context:
        found = Opened(context.new_page())
        found.page.goto(file.as_uri())
        if settings.get("java_script_enabled", True):
            found.page.wait_for_selector("section:has([data-spec]):not([data-drawn])", state="detached", timeout=60_000)
        yield found
        assert not found.complaints, found.complaints
        assert not found.foreign, found.foreign
