"""Accounts that end: what becomes of tokens and sessions, and when they are active again."""

import re
from threading import Event, Thread

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, connections
from django.db.models.functions import Now

from audit_app.models import AuditEvent
from repositories_app.actions import tokens
from repositories_app.actions.repositories import get_repository
from repositories_app.models import AccessToken, Repository
from tests.repositories_app.support import REPOSITORY, Api, people, token_of
from tests.support.clients.operators import Admin, person, text
from tests.support.servers.parts import wait_until

pytestmark = pytest.mark.django_db

BOX = "revoke_tokens"
DAY = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00"}


@pytest.fixture
def root() -> Admin:
    people()
    return Admin(person("root", superuser=True))


def page_of(username: str) -> str:
    return f"auth/user/{User.objects.get(username=username).pk}/change/"


def save(visitor: Admin, username: str = "alice", **fields: str) -> str:
    """Send the form of a user as a browser does, and return the page that comes next, as text."""
    page = text(visitor.get(page_of(username)))
    hidden = {f"{BOX}-offered": "1"} if f"{BOX}-offered" in page else {}
    answer = visitor.post(page_of(username), username=username, **DAY, **hidden, **fields)
    assert answer.status_code == 302, text(answer)
    return words(text(visitor.get("auth/user/")))


def words(page: str) -> str:
    return re.sub(r"<[^>]+>", "", page).replace("&quot;", '"')


def is_ticked(page: str) -> bool:
    found = re.search(rf'<input type="checkbox" name="{BOX}"[^>]*>', page)
    assert found
    return "checked" in found[0]


def revoked() -> list[str]:
    events = AuditEvent.objects.filter(kind="token revoked", username="root").order_by("pk")
    return list(events.values_list("subject", flat=True))


# --- Deactivating ---------------------------------------------------------------------------------


def test_the_box_is_there_for_who_has_tokens(root: Admin) -> None:
    assert BOX not in text(root.get(page_of("alice")))
    token_of("alice")
    page = text(root.get(page_of("alice")))
    assert is_ticked(page)
    assert 'When "Active" is unticked, also revoke their 1 access token, for good' in words(page)
    token_of("alice")
    assert "also revoke their 2 access tokens, for good" in words(text(root.get(page_of("alice"))))
    tokens.revoke_access_tokens(list(AccessToken.objects.values_list("pk", flat=True)))
    assert BOX not in text(root.get(page_of("alice")))
    assert BOX not in text(root.get("auth/user/add/"))


@pytest.mark.parametrize("name", ["Bob Smith", "bob ", "'bob'", f"fgt_{'Ab1' * 12}", "ﬁsh"])
def test_a_name_that_this_page_would_not_take(root: Admin, name: str) -> None:
    """From a command, or a release before: its owner can leave all the same."""
    User.objects.filter(username="alice").update(username=name)
    token_of(name)
    save(root, name, **{BOX: "on"})
    assert not User.objects.get(username=name).is_active
    assert AccessToken.objects.get().revoked_at
    answer = root.post(page_of(name), username="two words", **DAY)
    assert "Enter a valid username" in text(answer)


def test_an_auditor_is_not_asked(root: Admin) -> None:
    token_of("alice")
    assert BOX not in text(Admin(person("ada", "auditor")).get(page_of("alice")))


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1 access token was"), (2, "2 access tokens were")]
)
def test_deactivating_revokes_for_good(root: Admin, number: int, said: str) -> None:
    mine, other = [token_of("alice") for _ in range(number)], token_of("bob")
    assert f"{said} revoked." in save(root, **{BOX: "on"})
    assert revoked() == [f"{token[:10]} of alice" for token in mine]
    save(root, is_active="on", **{BOX: "on"})
    assert Api(mine[0]).list().status_code == 401
    assert Api(other, "bobs.repo").list().status_code == 200


def test_a_token_that_has_ended_is_left_as_it_is(root: Admin) -> None:
    ended, token = token_of("alice"), token_of("alice")
    AccessToken.objects.filter(prefix=ended[:10]).update(expires_at=Now())
    assert "1 access token was revoked." in save(root, **{BOX: "on"})
    assert revoked() == [f"{token[:10]} of alice"]


def test_tokens_may_stay(root: Admin) -> None:
    token = token_of("alice")
    said = '1 access token of alice stays: it will work again if "Active" is ticked.'
    assert said in save(root)
    assert revoked() == []
    assert Api(token).list().status_code == 401
    page = text(root.get(page_of("alice")))
    assert not is_ticked(page)
    assert "Revoke their 1 access token, for good" in words(page)
    save(root, email="a@example.org")
    assert revoked() == []


def test_activating_says_what_works_again(root: Admin) -> None:
    token = token_of("alice")
    save(root)
    root.post(page_of("alice"), username="alice", is_active="on", **DAY)
    page = text(root.get("auth/user/"))
    assert "1 access token of alice works again." in words(page)
    link = "/admin/repositories_app/accesstoken/?user__username=alice"
    assert f'href="{link}"' in page
    assert token[:10] in text(root.client.get(link))
    assert Api(token).list().status_code == 200
    assert "works again" not in save(root, is_active="on", **{BOX: "on"})
    assert Api(token).list().status_code == 200


def test_who_is_inactive_already(root: Admin) -> None:
    token = token_of("alice")
    User.objects.filter(username="alice").update(is_active=False)
    assert "1 access token was revoked." in save(root, **{BOX: "on"})
    assert revoked() == [f"{token[:10]} of alice"]


def test_tokens_that_were_made_since_the_page_was_loaded(root: Admin) -> None:
    assert BOX not in text(root.get(page_of("alice")))
    token = token_of("alice")
    root.post(page_of("alice"), username="alice", **DAY)
    assert revoked() == [f"{token[:10]} of alice"]


def test_both_or_neither(root: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatabaseError("injected")

    token = token_of("alice")
    monkeypatch.setattr(tokens, "record", fail)
    page = {f"{BOX}-offered": "1", BOX: "on"}
    assert root.post(page_of("alice"), username="alice", **DAY, **page).status_code == 500
    assert Api(token).list().status_code == 200


def test_the_box_is_no_column_of_the_history(root: Admin) -> None:
    token_of("alice")
    save(root)
    message = LogEntry.objects.get().change_message
    assert message == '[{"changed": {"fields": ["Active", "Date joined"]}}]'


# --- At the same moment ---------------------------------------------------------------------------


def waits() -> bool:
    """Return whether a session waits for a lock; on SQLite, any other that writes does."""
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_no_token_is_made_behind_a_deactivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a token that is being made, and revokes that too."""
    people()
    root, done = Admin(person("root", superuser=True)), Event()

    def deactivate() -> None:
        try:
            root.post(page_of("alice"), username="alice", **DAY)
        finally:
            connections.close_all()
            done.set()

    other = Thread(target=deactivate)

    def meanwhile(name: str) -> Repository:
        other.start()
        wait_until(lambda: done.is_set() or waits(), "the deactivation, or that it waits")
        return get_repository(name)

    monkeypatch.setattr(tokens, "get_repository", meanwhile)
    token_of("alice", repositories=[REPOSITORY])
    other.join()
    assert not User.objects.get(username="alice").is_active
    assert not AccessToken.objects.lasting().exists()


# --- Sessions -------------------------------------------------------------------------------------


def test_sessions_end_with_the_account(root: Admin) -> None:
    olga, ada = person("olga", "operator"), Admin(person("ada", "auditor"))
    visitor = Admin(olga)
    assert visitor.get("").status_code == 200
    save(root, "olga", is_staff="on")
    assert Session.objects.count() == 2
    save(root, "olga", is_staff="on", is_active="on")
    assert visitor.get("").status_code == 302
    assert ada.get("").status_code == 200


@pytest.mark.parametrize("right", ["is_active", "is_staff", "is_superuser"])
def test_nobody_takes_away_their_own_rights(root: Admin, right: str) -> None:
    """Perhaps there is no other superuser, who could give them back."""
    rights = dict.fromkeys(("is_active", "is_staff", "is_superuser"), "on")
    del rights[right]
    page = text(root.post(page_of("root"), username="root", **rights, **DAY))
    assert "This is your own account: ask another superuser." in page
    assert getattr(User.objects.get(username="root"), right)
    assert root.get("").status_code == 200
