"""Signing in: one answer for all that is wrong; sessions that are short and kept as digests."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connection
from django.db.models import F
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from audit_app.models import AuditEvent, RefusalCount
from audit_app.refusals import convert_refusals_to_events
from operations_app.console.sessions import SessionStore
from tests.support.clients.operators import PASSWORD, Admin, person, text

pytestmark = pytest.mark.django_db


def sign_in(
    username: str = "olga", password: str = PASSWORD, address: str = "192.0.2.1"
) -> HttpResponseBase:
    client = Client(REMOTE_ADDR=address)
    return client.post("/admin/login/", {"username": username, "password": password})


@pytest.fixture
def olga() -> User:
    return person("olga", "operator")


def test_a_right_password(olga: User) -> None:
    answer = sign_in()
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/admin/"
    event = AuditEvent.objects.get()
    assert (event.kind, event.username) == ("signed in", "olga")
    assert event.address_hash


@pytest.mark.usefixtures("olga")
def test_every_wrong_one_is_told_the_same() -> None:
    person("lena", "operator")
    User.objects.filter(username="lena").update(is_active=False)
    person("walter")
    User.objects.filter(username="walter").update(is_staff=False)
    User.objects.create_user("paula", password=None)
    told = set()
    for username, password in (
        ("olga", "wrong"),
        ("nobody-of-that-name", PASSWORD),
        ("lena", PASSWORD),
        ("walter", PASSWORD),
        ("paula", PASSWORD),
        ("paula", "!"),
    ):
        answer = sign_in(username, password)
        assert answer.status_code == 200
        page = text(answer)
        told.add(page.partition('class="errornote"')[2].partition("</p>")[0])
    assert len(told) == 1
    assert "or this account can&#x27;t sign in here" in told.pop()


def _minutes_later() -> None:
    RefusalCount.objects.update(minute=F("minute") - 10)


def test_what_was_typed_wrongly_is_written_nowhere(
    olga: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sign_in("a-password-by-mistake", "and-another")
    _minutes_later()
    assert convert_refusals_to_events() == 1
    event = AuditEvent.objects.get()
    assert (event.kind, event.username, event.subject) == ("refused", "", "")
    said = caplog.text + str(vars(caches["default"])["_cache"])
    assert "by-mistake" not in said
    assert "and-another" not in said


def test_a_flood_of_wrong_passwords_fills_no_disk(olga: User) -> None:
    for number in range(9):
        sign_in("olga", f"wrong {number}")
    assert not AuditEvent.objects.exists()
    _minutes_later()
    convert_refusals_to_events()
    assert sum(AuditEvent.objects.values_list("count", flat=True)) == 9


@pytest.mark.usefixtures("olga")
def test_a_cache_that_is_down_locks_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("audit_app.guessing.get_usage", down)
    assert sign_in().status_code == 302
    assert sign_in("olga", "wrong").status_code == 200


# --- Sessions -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("olga")
def test_the_table_has_a_digest_of_the_key() -> None:
    answer = sign_in()
    key = answer.cookies["admin"].value
    kept = Session.objects.get()
    assert kept.session_key == SessionStore.hash_key(key)
    assert key not in kept.session_key + kept.session_data
    visitor = Client()
    visitor.cookies["admin"] = kept.session_key
    assert visitor.get("/admin/").status_code == 302
    visitor.cookies["admin"] = key
    assert visitor.get("/admin/").status_code == 200


def test_the_cookie(olga: User) -> None:
    cookie = sign_in().cookies["admin"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["expires"] == ""  # it goes with the browser
    kept = Session.objects.get().expire_date - timezone.now()
    assert kept <= timedelta(seconds=site.SESSION_COOKIE_AGE) <= timedelta(hours=1)


def test_signing_in_makes_a_new_key_and_out_ends_it(olga: User) -> None:
    visitor = Client()
    fields = {"username": "olga", "password": PASSWORD}
    keys = set()
    for _ in range(2):
        visitor.post("/admin/login/", fields)
        keys.add(visitor.cookies["admin"].value)
        visitor.post("/admin/logout/")
        assert Session.objects.count() == 0
        assert visitor.get("/admin/").status_code == 302
    assert len(keys) == 2


def test_an_idle_session_ends_and_is_forgotten(olga: User) -> None:
    visitor = Admin(olga)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert visitor.get("").status_code == 302
    sign_in()
    assert Session.objects.count() == 1


def test_a_locked_user_is_out_at_once(olga: User) -> None:
    visitor = Admin(olga)
    assert visitor.get("").status_code == 200
    User.objects.filter(pk=olga.pk).update(is_active=False)
    assert visitor.get("").status_code == 302


def test_a_store_behaves_as_djangos(olga: User) -> None:
    """Cycling, flushing and asking for a key all go by the digest."""
    store = SessionStore()
    store["a"] = "b"
    store.create()
    first = store.session_key
    assert first
    assert store.exists(first)
    store.cycle_key()
    assert store.session_key
    assert store.session_key != first
    assert not store.exists(first)
    assert SessionStore(store.session_key)["a"] == "b"
    store.flush()
    assert Session.objects.count() == 0
    assert SessionStore("never-there").load() == {}
    assert SessionStore(None).load() == {}


_REFUSE = {
    "sqlite": "CREATE TRIGGER refuse BEFORE UPDATE ON django_session"
    " BEGIN SELECT RAISE(ABORT, 's3cret'); END",
    "postgresql": """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 's3cret'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON django_session FOR EACH ROW EXECUTE FUNCTION refuse();
""",
}
_TAKE = {"sqlite": "DROP TRIGGER refuse", "postgresql": "DROP FUNCTION refuse CASCADE"}


@pytest.mark.django_db(transaction=True)
def test_a_session_that_the_database_refuses(olga: User, caplog: pytest.LogCaptureFixture) -> None:
    """It is saved after the page was made, where nothing of Django's would log why it is not."""
    visitor = Admin(olga)
    with connection.cursor() as cursor:
        cursor.execute(_REFUSE[connection.vendor])
        try:
            answer = visitor.get("")
        finally:
            cursor.execute(_TAKE[connection.vendor])
    assert answer.status_code == 500
    (line,) = [line for line in caplog.messages if "database failed" in line]
    assert "s3cret" not in caplog.text
    assert connection.vendor == "sqlite" or "P0001" in line
    assert visitor.get("").status_code == 200


# --- Pages ----------------------------------------------------------------------------------------


def test_nobody_else_pays_for_the_admin(
    olga: User, settings: Settings, django_assert_num_queries: Callable[[int], object]
) -> None:
    """No session is looked up, and no cookie is set, outside /admin/."""
    visitor = Admin(olga).client
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        answer = visitor.get("/")
    assert "admin" not in answer.cookies
    assert not hasattr(answer.wsgi_request, "session")
    assert hasattr(visitor.get("/admin/").wsgi_request, "session")


def test_pages_are_stored_nowhere_and_run_nothing_foreign(olga: User) -> None:
    visitor = Admin(olga)
    for path in ("", "health/", "secrets_app/share/", "password_change/", "nowhere/"):
        answer = visitor.get(path)
        assert "no-store" in answer.headers["Cache-Control"], path
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_without_the_slash() -> None:
    answer = Client().get("/admin")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/admin/"


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/json"])
def test_errors_are_pages(olga: User, accept: str) -> None:
    visitor = Admin(olga)
    visitor.client.defaults["HTTP_ACCEPT"] = accept
    missing, forbidden = visitor.get("nowhere/"), visitor.get("auth/user/add/")
    wrong = visitor.get("secrets_app/share/", digest="x")
    assert (missing.status_code, forbidden.status_code, wrong.status_code) == (404, 403, 400)
    for answer in (missing, forbidden, wrong):
        assert "Go to the overview" in text(answer)
    assert visitor.get("purge/").status_code == 403 or visitor.get("purge/").status_code == 405


def test_a_failure_nobody_foresaw_is_a_page(
    olga: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise RuntimeError("fug_0123456789abcdefghijkl")

    monkeypatch.setattr("operations_app.console.site.dashboard", fails)
    answer = Admin(olga).get("")
    assert answer.status_code == 500
    assert "Traceback" not in text(answer)
    assert "fug_0123" not in text(answer)
    assert "Something failed on our side" in text(answer)


def test_forms_need_their_token(olga: User) -> None:
    visitor = Client(enforce_csrf_checks=True)
    visitor.force_login(olga)
    answer = visitor.post("/admin/purge/")
    assert answer.status_code == 403
    assert "Please try again" in text(answer)
    assert not AuditEvent.objects.filter(kind="purged").exists()


def test_a_weak_password_is_refused() -> None:
    root = Admin(person("root", superuser=True))
    for password in ("short-one", "password12345", "123456789012"):
        fields = {"password1": password, "password2": password, "usable_password": "true"}
        root.post("auth/user/add/", username="nora", **fields)
    assert not User.objects.filter(username="nora").exists()
