"""Pages opened from disk in a headless Chromium, of which nothing may go wrong.

Where there is no Chromium, tests that ask for it skip.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# A browser that never talks to anybody.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")

OpenPage = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium with a new profile, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium: none of {', '.join(NAMES)} is on the path")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Opens a file: `open_page(path, fragment="", width=1400, height=900, dark=False)`.

    After the test there must have been no error, no message of the console that warns or fails,
    and no request but for the files that were opened.
    """
    troubles: list[str] = []
    contexts = []

    def open_page(
        path: Path, fragment: str = "", width: int = 1400, height: int = 900, dark: bool = False
    ) -> Any:
        scheme = "dark" if dark else "light"
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        own = path.resolve().as_uri()

        def asked(request: Any) -> None:
            if request.url.partition("#")[0] != own and not request.url.startswith("data:"):
                troubles.append(f"request: {request.url}")

        def said(message: Any) -> None:
            if message.type in ("error", "warning"):
                troubles.append(f"console: {message.text}")

        page.on("request", asked)
        page.on("console", said)
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.goto(own + (f"#{fragment}" if fragment else ""))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
