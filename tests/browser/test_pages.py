"""What holds for each page: for everybody's eyes, hands and privacy."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, each_look, serious, width_of
from tests.browser.steps import expect_gone, fill_in, open_share, share, share_by_api
from tests.support.servers.service import Service

LABEL = "Label-without-any-place-to-break-" * 20


def _new(page: Page, url: str) -> None:
    page.goto("/")


def _error(page: Page, url: str) -> None:
    fill_in(page, "", label="x" * 1025)
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("alert").first).to_be_visible()


def _created(page: Page, url: str) -> None:
    share(page, "s3cret", label=LABEL)


def _waiting(page: Page, url: str) -> None:
    page.goto(share_by_api(url, "s3cret", label=LABEL))


def _waiting_file(page: Page, url: str) -> None:
    page.goto(share_by_api(url, "x" * (2**20 + 1), once=False))


def _opened(page: Page, url: str) -> None:
    open_share(page, share_by_api(url, "long" * 500 + "\nline\n" * 100, label=LABEL))


def _opened_for_longer(page: Page, url: str) -> None:
    open_share(page, share_by_api(url, "s3cret", once=False))


def _gone(page: Page, url: str) -> None:
    expect_gone(page, "/s/fug_0000000000000000000000")


def _deleted(page: Page, url: str) -> None:
    share(page, "s3cret")
    page.get_by_role("button", name="Delete it now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your secret is deleted")


def _message(page: Page, url: str) -> None:
    answer = page.goto("/nowhere")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("link", name="Go to the start page")).to_be_visible()


def _docs(page: Page, url: str) -> None:
    page.goto("/docs")
    expect(page.get_by_role("heading", level=1)).to_have_text("The API")


Visit = Callable[[Page, str], None]
PAGES: list[Visit] = [
    _new,
    _error,
    _created,
    _waiting,
    _waiting_file,
    _opened,
    _opened_for_longer,
    _gone,
    _deleted,
    _message,
    _docs,
]
each_page = pytest.mark.parametrize("visit", PAGES, ids=lambda visit: visit.__name__.strip("_"))


@each_page
def test_is_for_everybody_and_tells_nobody(
    visitor: Visitor, service: Service, visit: Visit
) -> None:
    page = visitor()
    visit(page, service.url)
    _has_one_heading_and_its_landmarks(page)
    _tells_nobody(page)
    for look in each_look(page):
        assert serious(page) == [], look
    assert _fits(page)


@each_page
def test_fits_without_scripts(visitor: Visitor, service: Service, visit: Visit) -> None:
    page = visitor(java_script_enabled=False)
    visit(page, service.url)
    assert _fits(page)


def _fits(page: Page) -> bool:
    page.set_viewport_size({"width": 320, "height": 640})
    return width_of(page) <= 320


def _tells_nobody(page: Page) -> None:
    """No robot, no referrer, and a preview that is the same for every link."""
    assert _meta(page, "name", "robots") == "noindex, nofollow"
    assert _meta(page, "name", "referrer") == "no-referrer"
    assert _meta(page, "property", "og:title") == "Fugata"
    assert _meta(page, "property", "og:description") == "Share a secret by a link that expires."
    assert "Label" not in page.title()


def _meta(page: Page, kind: str, name: str) -> str | None:
    return page.locator(f'meta[{kind}="{name}"]').get_attribute("content")


def _has_one_heading_and_its_landmarks(page: Page) -> None:
    expect(page.get_by_role("banner")).to_have_count(1)
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("contentinfo")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)


def test_times_are_local_and_relative_with_scripts(visitor: Visitor, service: Service) -> None:
    link = share_by_api(service.url, "s3cret")
    page = visitor(timezone_id="Asia/Tokyo")
    page.goto(link)
    expect(page.locator("time")).to_contain_text("GMT+9 (in ")
    page = visitor(java_script_enabled=False)
    page.goto(link)
    expect(page.locator("time")).to_contain_text("UTC")


def test_the_description_is_read_by_keyboard(visitor: Visitor) -> None:
    page = visitor(java_script_enabled=False)
    page.goto("/docs")
    operation = page.get_by_role("article", name="POST /secrets", exact=True)
    refusal = operation.get_by_text("Invalid duration")
    expect(refusal).to_be_hidden()
    operation.get_by_text("400 Bad Request").focus()
    page.keyboard.press("Enter")
    expect(refusal).to_be_visible()
    page.get_by_role("navigation").get_by_role("link", name="DELETE /secrets/{id}").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="DELETE /secrets/{id}")).to_be_in_viewport()
