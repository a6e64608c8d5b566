"""A real browser, whose visitors report whatever a page should not do."""

from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

from tests.support.runner.marking import marks
from tests.support.servers.service import Service

pytest_collection_modifyitems = marks(__file__, "processes", "outside")

Scheme = Literal["dark", "light"]
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


COLOURS_SETTLED = "Promise.all(document.getAnimations().map(each => each.finished))"
#: The looks of a page that axe sees: scheme of colours, and width.
LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]


def each_look(page: Page) -> Iterator[str]:
    """Give a page that is open each of the looks in turn, and yield its name."""
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(COLOURS_SETTLED)
        yield f"{scheme}, {width} pixels wide"


def width_of(page: Page) -> int:
    """Return how many pixels wide a page is, seen or not."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def serious(page: Page, **options: Any) -> list[tuple[str, str]]:
    """Return what axe calls serious or critical: the rule, and the element."""
    results = Axe().run(page, options=options).response
    assert results["passes"]
    found = [one for one in results["violations"] if one["impact"] in ("serious", "critical")]
    return [(one["id"], node["html"]) for one in found for node in one["nodes"]]
