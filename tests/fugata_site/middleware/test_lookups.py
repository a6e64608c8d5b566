"""No answer tells that an access token is live, unless the trail has that it was tried."""

import pytest
from django.http.response import HttpResponseBase
from django.test import Client
from pytest_django.fixtures import Settings

from audit_app.models import AuditEvent, LookupCount
from fugata_core.errors import RowLocked
from tests.repositories_app.support import REPOSITORY, people, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen_minute")]

PLACE = f"/repositories/{REPOSITORY}/secrets"
DEAD = "fgt_" + "a" * 36
METHODS = ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS", "TRACE"]


@pytest.fixture
def live() -> str:
    """The access token of a user who may write."""
    people()
    return token_of("wendy")


def send(token: str, method: str, path: str, **more: str) -> HttpResponseBase:
    headers = {"authorization": f"Bearer {token}"} | more
    return Client().generic(method, path, b"12345", "application/json", headers=headers)


def told(answer: HttpResponseBase) -> tuple[int, dict[str, str]]:
    """Return what an answer tells, but for what differs each time."""
    passing = ("X-Request-ID", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    headers = {name: value for name, value in answer.items() if name not in passing}
    return answer.status_code, headers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path",
    ["/repositories", "/repositories/", "/repositories/x", f"{PLACE}/", f"/{PLACE}", "/secrets"],
)
def test_where_no_token_is_accepted_none_is_looked_at(live: str, method: str, path: str) -> None:
    before = AuditEvent.objects.count()
    assert told(send(live, method, path)) == told(send(DEAD, method, path))
    assert not LookupCount.objects.exists()
    assert AuditEvent.objects.count() == before


def assert_counted(token: str) -> None:
    row = LookupCount.objects.get()
    assert (row.username, row.token, row.repository, row.count) == ("wendy", token[:10], "", 1)


@pytest.mark.parametrize("path", [PLACE, f"{PLACE}/KEY"])
def test_an_unknown_host(live: str, path: str) -> None:
    for token in (DEAD, live):
        assert send(token, "GET", path, host="unknown.example").status_code == 400
    assert_counted(live)


def test_a_body_that_is_too_large(settings: Settings, live: str) -> None:
    settings.MAX_BODY_SIZE = 4
    body = b'"' + b" " * 64 * 1024 + b'"'
    headers = {"authorization": f"Bearer {live}"}
    answer = Client().generic("POST", PLACE, body, "application/json", headers=headers)
    assert answer.status_code == 413
    assert_counted(live)


def test_what_a_view_counts_is_counted_once(live: str) -> None:
    assert send(live, "PUT", PLACE).status_code == 405
    assert_counted(live)


def test_one_that_can_not_be_counted(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_vain(*_: object) -> None:
        raise RowLocked()

    monkeypatch.setattr("fugata_site.middleware.lookups.count_lookup", in_vain)
    assert send(live, "GET", PLACE, host="unknown.example").status_code == 503
