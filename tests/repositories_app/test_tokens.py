"""Access tokens: random, recognisable, kept as digests, and how their use is noted."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from fugata_core import tokens
from fugata_core.access_tokens import is_access_token, new_access_token, token_prefix
from repositories_app import authentication
from repositories_app.models import AccessToken
from tests.repositories_app.support import Api, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("members")]


def test_what_a_token_looks_like() -> None:
    tokens = {new_access_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(is_access_token(token) and token.startswith("fgt_") for token in tokens)
    assert all(len(token) - len(token_prefix(token)) >= 22 for token in tokens)


def test_the_token_itself_is_not_kept() -> None:
    token = token_of("alice")
    row = AccessToken.objects.get()
    fields = [getattr(row, field.attname) for field in row._meta.concrete_fields]
    kept = b"\0".join(f if isinstance(f, bytes) else str(f).encode() for f in fields)
    assert token.encode() not in kept
    assert token[4:].encode() not in kept
    assert bytes(row.digest) == tokens.digest(token)
    assert token.startswith(row.prefix)
    assert token not in str(row)


def used() -> datetime | None:
    return AccessToken.objects.get().last_used_at


def test_use_is_noted_but_not_at_every_request() -> None:
    api = Api(token_of("alice"))
    assert used() is None
    api.list()
    first = used()
    assert first
    with CaptureQueriesContext(connection) as queries:
        api.list()
    assert not [query for query in queries if query["sql"].startswith("UPDATE")]
    assert used() == first
    AccessToken.objects.update(last_used_at=datetime.now(UTC) - timedelta(minutes=6))
    api.list()
    later = used()
    assert later
    assert later >= first


def test_use_is_noted_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the service itself wrote, of which SQLite keeps the text."""
    api = Api(token_of("alice"))
    api.list()
    monkeypatch.setattr(authentication, "LAST_USED_RESOLUTION", timedelta(0))
    seen = {used()}
    for _ in range(50):
        api.list()
        seen.add(used())
    assert len(seen) > 2


def test_an_end_is_an_end() -> None:
    api = Api(token_of("alice", lifetime=timedelta(hours=1)))
    assert api.list().status_code == 200
    AccessToken.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert api.list().status_code == 401


def test_requests_are_counted_by_token(settings: Settings) -> None:
    settings.RATE_LIMIT_RPM, settings.RATE_LIMIT_BURST = 1, 1
    settings.TOKEN_RATE_LIMIT_RPM, settings.TOKEN_RATE_LIMIT_BURST = 2, 3
    api, other = Api(token_of("alice")), Api(token_of("alice"))
    answers = [api.list() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0]["X-RateLimit-Limit"] == "2"
    assert answers[0]["X-RateLimit-Remaining"] == "2"
    assert answers[3]["Retry-After"]
    assert other.list().status_code == 200


def test_a_wrong_token_is_counted_by_client(settings: Settings) -> None:
    settings.RATE_LIMIT_RPM, settings.RATE_LIMIT_BURST = 1, 2
    wrong = Api("fgt_" + "x" * 36)
    answers = [wrong.list() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[0]["X-RateLimit-Limit"] == "1"
