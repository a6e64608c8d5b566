"""What people do on the pages, step by step."""

from pathlib import Path

import httpx
from playwright.sync_api import Locator, Page, expect


def fill_in(page: Page, content: str, *, once: bool = True, label: str = "") -> None:
    """Fill in the form at `/`."""
    page.goto("/")
    page.get_by_label("Your secret").fill(content)
    page.get_by_label("Open once only").set_checked(once)
    page.get_by_label("Label").fill(label)


def share(page: Page, content: str, *, once: bool = True, label: str = "") -> str:
    """Make a share with the form and return its link."""
    fill_in(page, content, once=once, label=label)
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your link is ready")
    return page.get_by_label("Link to send").input_value()


def share_by_api(url: str, content: str, *, once: bool = True, label: str | None = None) -> str:
    """Make a share with the API, which carries what no form can, and return its path."""
    body = {"content": content, "duration": "1h", "one_time": once, "metadata": label}
    answer = httpx.post(f"{url}/secrets", json=body).raise_for_status()
    return f"/s/{answer.json()['id']}"


def open_share(page: Page, link: str) -> None:
    """Open the link and press its button."""
    page.goto(link)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your secret")


def shown(page: Page) -> str:
    """Return the secret as the page shows it."""
    return page.get_by_role("textbox").input_value()


def saved(page: Page, name: str = "Save as a file") -> bytes:
    """Press what saves the secret as a file and return the file's bytes."""
    with page.expect_download() as download:
        page.get_by_text(name, exact=True).click()
    assert download.value.suggested_filename == "secret.txt"
    return Path(download.value.path()).read_bytes()


def expect_gone(page: Page, link: str) -> None:
    """Open a link that opens nothing: a 404 with the friendly page."""
    answer = page.goto(link)
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here any more")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus, and see to it that the focus shows."""
    for _ in range(20):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            break
    expect(target).to_be_focused()
    assert target.evaluate(
        "element => [element, element.closest('label')].some("
        "part => part && getComputedStyle(part).outlineStyle !== 'none')"
    )
