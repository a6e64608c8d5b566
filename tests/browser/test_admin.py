"""The admin in a real browser: what operators do, and what holds for its pages."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, StorageState, expect

from tests.browser.conftest import Visitor, each_look, serious, width_of
from tests.browser.steps import share_by_api
from tests.support.clients.operators import PASSWORD
from tests.support.servers.service import Service

MAKE_PEOPLE = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("olga", password="{PASSWORD}")
User.objects.create_user("nick", password="{PASSWORD}", is_staff=True)
"""
CLIPBOARD = ["clipboard-read", "clipboard-write"]


@pytest.fixture(scope="module")
def people(service: Service) -> Service:
    """A service with an operator, a newcomer, and a repository."""
    service.manage("shell", "--no-imports", "-c", MAKE_PEOPLE)
    service.manage("create_repository", "billing-api", "--owner", "alice")
    share_by_api(service.url, "s3cret", label="For the build")
    return service


def sign_in(page: Page, username: str = "olga") -> None:
    """Sign in by the form; attempts are counted, so once for all tests that can share it."""
    page.goto("/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


_states: list[StorageState] = []


@pytest.fixture
def olga(visitor: Visitor, people: Service) -> Visitor:
    """Give pages that are signed in already."""
    if not _states:
        page = visitor()
        sign_in(page)
        _states.append(page.context.storage_state())
    return lambda **options: visitor(storage_state=_states[0], **options)


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_from_signing_in_to_signing_out(visitor: Visitor, people: Service) -> None:
    page = visitor()
    page.goto("/admin/secrets_app/share/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("The name or the password is wrong")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    heading(page, "Shares")
    page.get_by_role("button", name="Log out").click()
    page.goto("/admin/")
    expect(page.get_by_label("Username")).to_be_visible()


def test_a_member_of_nothing_sees_nothing(visitor: Visitor, people: Service) -> None:
    page = visitor()
    sign_in(page, "nick")
    expect(page.get_by_text("have permission to view or edit anything")).to_be_visible()
    expect(page.get_by_role("img")).to_have_count(0)


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_a_token_from_the_form_to_the_api(olga: Visitor, service: Service, scripts: bool) -> None:
    page = olga(java_script_enabled=scripts, permissions=CLIPBOARD)
    page.goto("/admin/")
    page.get_by_role("row", name="Access tokens").get_by_role("link", name="Add").click()
    page.get_by_label("User:").select_option(label="alice")
    page.get_by_label("Label").fill("CI")
    page.get_by_label("Ends after").fill("90d")
    page.get_by_role("button", name="Add access token").click()
    heading(page, "The token is ready")
    token = page.get_by_label("Access token of alice").input_value()
    if scripts:
        page.get_by_role("button", name="Copy the token").click()
        expect(page.get_by_role("status")).to_have_text("Token copied.")
        assert page.evaluate("navigator.clipboard.readText()") == token
    place = f"{service.url}/repositories/billing-api/secrets"
    header = {"Authorization": f"Bearer {token}"}
    assert httpx.get(place, headers=header).status_code == 200
    page.get_by_role("link", name="To the list of tokens").click()
    heading(page, "Access tokens")
    assert token not in page.content()
    page.get_by_role("link", name=token[:10]).click()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("1 of 1 tokens revoked")).to_be_visible()
    assert httpx.get(place, headers=header).status_code == 401


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_revoking_a_share(olga: Visitor, service: Service, scripts: bool) -> None:
    link = share_by_api(service.url, "s3cret", label=f"Revoke me, scripts {scripts}")
    page = olga(java_script_enabled=scripts)
    page.goto("/admin/secrets_app/share/")
    row = page.get_by_role("row").filter(has_text=f"Revoke me, scripts {scripts}")
    row.get_by_role("checkbox").check()
    page.get_by_role("combobox", name="Action").select_option(label="Revoke")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("nobody can bring them back")).to_be_visible()
    assert httpx.get(f"{service.url}{link}").status_code == 200
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("1 of 1 shares revoked")).to_be_visible()
    assert httpx.get(f"{service.url}{link}").status_code == 404


def test_a_new_repository_gets_members(olga: Visitor) -> None:
    page = olga()
    page.goto("/admin/repositories_app/repository/add/")
    page.get_by_label("Id:").fill("from-the-browser")
    page.get_by_label("Owner").fill("nora")
    page.get_by_role("button", name="Add repository").click()
    heading(page, "Change repository")
    page.get_by_role("button", name="Add another").click()
    page.locator("#id_memberships-1-username").fill("bob")
    page.locator("#id_memberships-1-role").select_option("writer")
    page.get_by_role("button", name="Save and continue").click()
    expect(page.locator("#id_memberships-0-role")).to_have_value("writer")
    page.get_by_role("link", name="Its audit events").click()
    expect(page.get_by_role("cell", name="bob: writer")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_an_account_ends_on_a_phone(olga: Visitor, service: Service, scripts: bool) -> None:
    name = f"leaver-{scripts}"
    service.manage("create_repository", name, "--owner", name, "--token")
    page = olga(java_script_enabled=scripts, viewport={"width": 390, "height": 800})
    page.goto(f"/admin/auth/user/?q={name}")
    page.get_by_role("link", name=name).click()
    box = page.get_by_label("also revoke their 1 access token, for good")
    expect(box).to_be_checked()
    assert width_of(page) <= 390
    page.get_by_label("Active", exact=True).uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("1 access token was revoked.")).to_be_visible()


def test_the_trail_between_two_moments(olga: Visitor) -> None:
    page = olga()
    page.goto("/admin/audit_app/auditevent/?kind__exact=created")
    page.get_by_label("From (UTC)").fill("2020-01-01T00:00")
    page.get_by_label("To (UTC)").fill("2020-01-02T00:00")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("0 audit events")).to_be_visible()
    expect(page.get_by_label("From (UTC)")).to_have_value("2020-01-01T00:00")
    page.get_by_role("link", name="The last 24 hours").click()
    expect(page.get_by_role("cell", name="Created").first).to_be_visible()


def test_the_charts_as_a_table(olga: Visitor) -> None:
    page = olga()
    page.goto("/admin/")
    expect(page.get_by_role("img", name="Created:").first).to_be_visible()
    page.get_by_text("The same as a table").first.click()
    expect(page.get_by_role("columnheader", name="Opened").first).to_be_visible()


def test_purge_now(olga: Visitor) -> None:
    page = olga()
    page.goto("/admin/")
    page.get_by_role("button", name="Purge now").click()
    expect(page.get_by_text("expired shares were purged")).to_be_visible()


# --- What holds for the pages ---------------------------------------------------------------------

Visit = Callable[[Page], None]


def _page(path: str) -> Visit:
    def visit(page: Page) -> None:
        page.goto(f"/admin/{path}")

    return visit


def _confirm(page: Page) -> None:
    page.goto("/admin/secrets_app/share/")
    page.get_by_role("row").filter(has_text="For the build").get_by_role("link").click()
    page.get_by_role("button", name="Revoke").click()
    heading(page, "Revoke")


def _token(page: Page) -> None:
    page.goto("/admin/repositories_app/accesstoken/add/")
    page.get_by_label("User:").select_option(label="alice")
    page.get_by_role("button", name="Add access token").click()
    heading(page, "The token is ready")


def _login(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/admin/")
    expect(page.get_by_label("Username")).to_be_visible()


PAGES: dict[str, Visit] = {
    "overview": _page(""),
    "health": _page("health/"),
    "shares": _page("secrets_app/share/"),
    "events": _page("audit_app/auditevent/"),
    "keys": _page("vault_app/keyencryptionkey/"),
    "repositories": _page("repositories_app/repository/"),
    "repository": _page("repositories_app/repository/1/change/"),
    "new repository": _page("repositories_app/repository/add/"),
    "tokens": _page("repositories_app/accesstoken/"),
    "new token": _page("repositories_app/accesstoken/add/"),
    "token made": _token,
    "asks first": _confirm,
    "message": _page("nowhere/"),
    "login": _login,
}
#: Its label is a picture with a text, which axe does not take for one.
DJANGOS_OWN = 'id="searchbar"'
each_page = pytest.mark.parametrize("visit", PAGES.values(), ids=PAGES)


@each_page
def test_axe_finds_nothing_serious_and_a_phone_suffices(olga: Visitor, visit: Visit) -> None:
    page = olga()
    visit(page)
    for look in each_look(page):
        # It would fetch style sheets by script, which the policy forbids.
        found = serious(page, preload=False)
        assert [one for one in found if DJANGOS_OWN not in one[1]] == [], look
    assert width_of(page) <= 360
