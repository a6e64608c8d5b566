"""From typing a secret to reading it, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.steps import (
    expect_gone,
    fill_in,
    open_share,
    saved,
    share,
    share_by_api,
    shown,
    tab_to,
)
from tests.support.servers.service import Service

CLIPBOARD = ["clipboard-read", "clipboard-write"]
#: Says of each click whether the form went off.
CLICK_TWICE = """form => {
    const sent = [];
    form.addEventListener("submit", (event) => sent.push(!event.defaultPrevented));
    form.querySelector("button").click();
    form.querySelector("button").click();
    return sent;
}"""
#: Markup, emoji, right-to-left text, white space on every side.
NASTY = "\n\n <script>alert('x')</script> &amp; </textarea>\n\t🎉 שלום \u202eabc\nend  \n "
#: What a text field of HTML can't hold: it changes line ends, and NUL to U+FFFD.
NASTIER = "\ufeff\r\none\rtwo\x00three\r\n" + NASTY


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_open_once(visitor: Visitor, scripts: bool) -> None:
    """The second reader gets the page of a link that opens nothing."""
    link = share(visitor(java_script_enabled=scripts), "s3cret", label="For the build")
    reader = visitor(java_script_enabled=scripts)
    reader.goto(link)
    expect(reader.get_by_text("For the build")).to_be_visible()
    expect(reader.get_by_text("You can open it once")).to_be_visible()
    open_share(reader, link)
    assert shown(reader) == "s3cret"
    expect(reader.get_by_text("nobody can open it again")).to_be_visible()
    expect_gone(visitor(java_script_enabled=scripts), link)


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_open_until_it_expires(visitor: Visitor, scripts: bool) -> None:
    link = share(visitor(java_script_enabled=scripts), "s3cret", once=False)
    for _ in range(2):
        reader = visitor(java_script_enabled=scripts)
        open_share(reader, link)
        assert shown(reader) == "s3cret"
        expect(reader.get_by_text("It can be opened again until")).to_be_visible()


def test_looking_at_the_link_uses_nothing_up(visitor: Visitor, service: Service) -> None:
    link = share_by_api(service.url, "s3cret")
    reader = visitor()
    reader.goto(link)
    reader.reload()
    open_share(reader, link)
    assert shown(reader) == "s3cret"


def test_copy_the_link_and_the_secret(visitor: Visitor) -> None:
    sender = visitor(permissions=CLIPBOARD)
    link = share(sender, NASTY)
    sender.get_by_role("button", name="Copy link").click()
    expect(sender.get_by_role("status")).to_have_text("Link copied.")
    assert sender.evaluate("navigator.clipboard.readText()") == link
    reader = visitor(permissions=CLIPBOARD)
    open_share(reader, link)
    reader.get_by_role("button", name="Copy secret").click()
    expect(reader.get_by_role("status")).to_have_text("Secret copied.")
    assert reader.evaluate("navigator.clipboard.readText()") == NASTY


def test_copying_works_where_the_page_may_not_use_the_clipboard(visitor: Visitor) -> None:
    """As over plain HTTP: the browser's older command does it, or the text is selected."""
    sender = visitor()
    sender.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    link = share(sender, "s3cret")
    sender.get_by_role("button", name="Copy link").click()
    expect(sender.get_by_role("status")).not_to_be_empty()
    assert sender.evaluate("getSelection().toString()") == link


def test_without_scripts_no_button_that_does_nothing(visitor: Visitor) -> None:
    page = visitor(java_script_enabled=False)
    link = share(page, "s3cret")
    expect(page.get_by_role("button")).to_have_text(["Delete it now"])
    open_share(page, link)
    expect(page.get_by_role("button")).to_have_count(0)


def test_by_keyboard_alone(visitor: Visitor) -> None:
    page = visitor()
    page.goto("/")
    tab_to(page, page.get_by_role("link", name="Skip to content"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Your secret"))
    page.keyboard.insert_text("s3cret")
    tab_to(page, page.get_by_label("24 hours"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("7 days")).to_be_checked()
    tab_to(page, page.get_by_label("Open once only"))
    tab_to(page, page.get_by_label("Label"))
    tab_to(page, page.get_by_role("button", name="Make the link"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Link to send"))
    page.goto(page.get_by_label("Link to send").input_value())
    tab_to(page, page.get_by_role("button", name="Open the secret"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Secret", exact=True))
    assert shown(page) == "s3cret"


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_delete_now(visitor: Visitor, scripts: bool) -> None:
    sender = visitor(java_script_enabled=scripts)
    link = share(sender, "s3cret")
    sender.get_by_role("button", name="Delete it now").click()
    expect(sender.get_by_role("heading", level=1)).to_have_text("Your secret is deleted")
    expect_gone(visitor(), link)


def test_a_double_click_asks_once(visitor: Visitor, service: Service) -> None:
    """A second answer would say that the secret is gone, and take the first one's place."""
    page = visitor()
    page.goto(share_by_api(service.url, "s3cret"))
    assert page.locator("form").evaluate(CLICK_TWICE) == [True, False]
    expect(page.get_by_role("heading", level=1)).to_have_text("Your secret")
    assert shown(page) == "s3cret"


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_nasty_text_from_the_form(visitor: Visitor, scripts: bool) -> None:
    label = "<b>bold</b> 🎉 \u202eabc"
    reader = visitor(java_script_enabled=scripts)
    link = share(visitor(java_script_enabled=scripts), NASTY, label=label)
    open_share(reader, link)
    assert shown(reader) == NASTY
    assert saved(reader) == NASTY.encode()
    expect(reader.get_by_text(label)).to_be_visible()


def test_text_that_no_form_can_hold(visitor: Visitor, service: Service) -> None:
    """The file and the copy have every byte, whatever the field shows."""
    page = visitor(permissions=CLIPBOARD)
    page.add_init_script("navigator.clipboard.writeText = async (text) => { window.got = text; }")
    open_share(page, share_by_api(service.url, NASTIER))
    assert saved(page) == NASTIER.encode()
    page.get_by_role("button", name="Copy secret").click()
    expect(page.get_by_role("status")).to_have_text("Secret copied.")
    assert page.evaluate("window.got") == NASTIER


def test_the_largest_that_is_shown_is_saved_whole(visitor: Visitor, service: Service) -> None:
    page, content = visitor(), "0123456789abcdef" * 2**16
    open_share(page, share_by_api(service.url, content))
    assert saved(page) == content.encode()


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_a_large_secret_is_saved_as_a_file(
    visitor: Visitor, service: Service, scripts: bool
) -> None:
    content = "é" * 2**20
    link = share_by_api(service.url, content)
    page = visitor(java_script_enabled=scripts)
    page.goto(link)
    assert saved(page, "Open and save as a file") == content.encode()
    expect_gone(visitor(), link)


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_an_error_keeps_what_was_typed(visitor: Visitor, scripts: bool) -> None:
    page = visitor(java_script_enabled=scripts)
    fill_in(page, NASTY, once=False, label="x" * 1025)
    page.get_by_label("7 days").check()
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("alert").first).to_contain_text("at most 1024 characters")
    expect(page.get_by_role("alert").first).to_be_focused()
    expect(page.get_by_label("Label")).to_have_value("x" * 1025)
    expect(page.get_by_label("Label")).to_have_accessible_description(
        re.compile("not encrypted.* at most 1024 characters")
    )
    assert page.get_by_label("Your secret").input_value() == NASTY
    expect(page.get_by_label("7 days")).to_be_checked()
    expect(page.get_by_label("Open once only")).not_to_be_checked()


def test_too_large_is_said_before_anything_is_sent(visitor: Visitor) -> None:
    page, size = visitor(), 10 * 2**20 + 1
    patience = 60_000  # the browser has much to lay out
    page.set_default_timeout(patience)
    page.goto("/")
    secret = page.get_by_label("Your secret")
    secret.evaluate("(field, size) => { field.value = 'x'.repeat(size); }", size)
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("alert")).to_contain_text("larger than 10 MB", timeout=patience)
    expect(page.get_by_role("alert")).to_be_focused()
    assert secret.evaluate("field => field.value.length") == size
