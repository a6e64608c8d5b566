"""A real browser, whose visitors report whatever a page should not do."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

from tests.support.service import Service

#: `visitor(java_script_enabled=False, ...)` gives a page in a browser context of its own.
Visitor = Callable[..., Page]

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for the whole run."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield running
        running.close()


class Watch:
    """Collects foreign requests, script errors and refusals by the content security policy."""

    def __init__(self, origin: str) -> None:
        self.host = urlsplit(origin).netloc
        self.complaints: list[str] = []

    def follow(self, context: BrowserContext) -> None:
        """Listen to everything that happens in this context."""
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme != "data" and url.netloc != self.host:
            self.complaints.append(f"request to {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium notes each 4xx answer itself; those are what some tests are about.
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def visitor(browser: Browser, service: Service) -> Iterator[Visitor]:
    """Give pages in contexts that share nothing; none of them may have done any wrong."""
    watch, contexts = Watch(service.url), list[BrowserContext]()

    def arrive(**options: Any) -> Page:
        options = {"viewport": {"width": 1280, "height": 800}, "timezone_id": "UTC"} | options
        context = browser.new_context(base_url=service.url, **options)
        context.set_default_timeout(10_000)
        watch.follow(context)
        contexts.append(context)
        return context.new_page()

    yield arrive
    for context in contexts:
        context.close()
    assert watch.complaints == []
