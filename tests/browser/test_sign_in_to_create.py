"""CREATE_REQUIRES_LOGIN in a real browser: who is signed in stays so, wherever a link was."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import each_look, serious, width_of
from tests.conftest import MakeService
from tests.support.clients.console import operator
from tests.support.clients.operators import PASSWORD

ELSEWHERE = "http://elsewhere.test/"


@pytest.fixture
def context(browser: Browser, make_service: MakeService) -> Iterator[BrowserContext]:
    """A browser of somebody with an account, and another site that has links to the service."""
    service = make_service(CREATE_REQUIRES_LOGIN="true")
    operator(service)
    made = browser.new_context(base_url=service.url)
    made.set_default_timeout(10_000)
    links = "".join(f'<a href="{service.url}{path}">to {path}</a> ' for path in ("/", "/admin/"))
    made.route(ELSEWHERE, lambda route: route.fulfill(content_type="text/html", body=links))
    yield made
    made.close()


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_a_link_on_another_site_finds_who_is_signed_in(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_text("Opening one needs no account")).to_be_visible()
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("The name or the password is wrong")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Your secret")).to_be_visible()
    page.goto(ELSEWHERE)
    page.get_by_role("link", name="to /", exact=True).click()
    expect(page.get_by_label("Your secret")).to_be_visible()
    page.goto(ELSEWHERE)
    page.get_by_role("link", name="to /admin/").click()
    heading(page, "Overview")


def test_the_page_can_be_read_by_all(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/")
    heading(page, "Sign in to create a link")
    for look in each_look(page):
        assert width_of(page) <= page.evaluate("innerWidth"), look
        assert serious(page) == [], look
