"""Who may not: 401, 404, 403, in that order, over every endpoint and method."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from audit_app.models import AuditEvent
from fugata_core import tokens
from repositories_app.actions.repositories import remove_member
from repositories_app.actions.tokens import revoke_access_tokens
from repositories_app.models import AccessToken, Repository
from secrets_app import ids
from tests.repositories_app.support import (
    OTHERS,
    REPOSITORY,
    Api,
    content,
    happened,
    token_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("members")]

Call = Callable[[Api], object]
CALLS: dict[str, Call] = {
    "list": lambda api: api.list(),
    "head of the list": lambda api: api.send("HEAD", api.place),
    "set": lambda api: api.set("KEY", "stolen"),
    "set, malformed": lambda api: api.send("POST", api.place, b"{"),
    "read": lambda api: api.read("KEY"),
    "read what is missing": lambda api: api.read("NO_KEY"),
    "head": lambda api: api.head("KEY"),
    "remove": lambda api: api.remove("KEY"),
}
OTHER_METHODS: dict[str, Call] = {
    f"{method} {path}": lambda api, m=method, p=path: api.send(m, api.place + p)  # type: ignore[misc]
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND")
    for path in ("", "/KEY")
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
every_call = pytest.mark.parametrize(
    "call", [*CALLS.values(), *OTHER_METHODS.values()], ids=[*CALLS, *OTHER_METHODS]
)


def expired() -> str:
    token = token_of("alice")
    past = datetime.now(UTC) - timedelta(seconds=1)
    AccessToken.objects.filter(digest=tokens.digest(token)).update(expires_at=past)
    return token


def revoked() -> str:
    token = token_of("alice")
    row = AccessToken.objects.get(digest=tokens.digest(token))
    assert revoke_access_tokens([row.pk]) == 1
    assert revoke_access_tokens([row.pk]) == 0
    return token


def of_a_locked_user() -> str:
    token = token_of("alice")
    User.objects.filter(username="alice").update(is_active=False)
    return token


NO_TOKENS: dict[str, Callable[[], str | None]] = {
    "none": lambda: None,
    "unknown": lambda: "fgt_" + "a" * 36,
    "not a token": lambda: "hello",
    "a deletion token": ids.new_deletion_token,
    "NUL": lambda: "fgt_\0" + "a" * 35,
    "expired": expired,
    "revoked": revoked,
    "of a locked user": of_a_locked_user,
    "one letter more": lambda: token_of("alice") + "a",
    "another case": lambda: token_of("alice").swapcase(),
}


@every_call
@pytest.mark.parametrize("make", NO_TOKENS.values(), ids=NO_TOKENS)
def test_no_valid_token(make: Callable[[], str | None], call: Call) -> None:
    """The same 401 for a repository that exists and for one that does not."""
    token = make()
    answers = [call(Api(token, name)) for name in (REPOSITORY, "no-such")]
    for answer in answers:
        assert answer.status_code == 401  # type: ignore[attr-defined]
        assert answer["WWW-Authenticate"] == "Bearer"  # type: ignore[index]
    if answers[0].content:  # type: ignore[attr-defined]
        assert content(answers[0]) == {"error": "Unauthorized"}  # type: ignore[arg-type]
    assert happened() == []


def test_a_lost_token_of_another_scheme() -> None:
    api = Api(None)
    for header in (f"Basic {token_of('alice')}", token_of("alice"), "Bearer", "Bearer  "):
        api._headers = {"authorization": header}
        assert api.list().status_code == 401
    api._headers = {"authorization": f"bearer   {token_of('alice')} "}
    assert api.list().status_code == 200


def narrowed_to_what_is_gone() -> str:
    Repository.objects.create(name="short-lived")
    token = token_of("alice", repositories=["short-lived"])
    Repository.objects.get(name="short-lived").delete()
    return token


UNSEEING: dict[str, Callable[[], str]] = {
    "another user's": lambda: token_of("bob"),
    "nobody's member": lambda: token_of("charlie"),
    "narrowed elsewhere": lambda: token_of("alice", repositories=[OTHERS]),
    "narrowed to what is gone": narrowed_to_what_is_gone,
}


@each_call
@pytest.mark.parametrize("make", UNSEEING.values(), ids=UNSEEING)
def test_what_may_not_be_seen_is_what_does_not_exist(make: Callable[[], str], call: Call) -> None:
    Api(token_of("alice")).set("KEY", "alice's")
    token = make()
    hidden, missing = (call(Api(token, name)) for name in (REPOSITORY, "no-such"))
    assert hidden.status_code == missing.status_code == 404  # type: ignore[attr-defined]
    assert hidden.content == missing.content  # type: ignore[attr-defined]
    volatile = {"X-Request-ID", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    for name in {*hidden.headers, *missing.headers} - volatile:  # type: ignore[attr-defined]
        assert hidden.headers.get(name) == missing.headers.get(name)  # type: ignore[attr-defined]
    assert content(Api(token_of("alice")).read("KEY")) == {"secret_value": "alice's"}


def test_no_more_queries_for_one_than_for_the_other(
    django_assert_num_queries: Callable[[int], object],
) -> None:
    token = token_of("bob")
    Api(token).list()  # the token's use is noted once in a while
    counted = []
    for name in (REPOSITORY, "no-such"):
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            Api(token, name).read("KEY")
        counted.append([query["sql"][:40] for query in queries])
    assert counted[0] == counted[1]


@pytest.mark.parametrize(
    ("username", "terms", "may_write"),
    [
        ("alice", {}, True),
        ("wendy", {}, True),
        ("rita", {}, False),
        ("alice", {"read_only": True}, False),
        ("alice", {"repositories": [REPOSITORY]}, True),
        ("alice", {"repositories": [OTHERS, REPOSITORY], "read_only": True}, False),
        ("alice", {"lifetime": timedelta(hours=1)}, True),
    ],
)
def test_who_may_what(username: str, terms: dict[str, object], may_write: bool) -> None:
    Api(token_of("alice")).set("KEY", "v")
    api = Api(token_of(username, **terms))
    assert content(api.list()) == ["KEY"]
    assert content(api.read("KEY")) == {"secret_value": "v"}
    assert api.head("KEY").status_code == 200
    for answer in (api.set("KEY", "v"), api.send("POST", api.place, b"{"), api.remove("NO_KEY")):
        expected = {201, 400, 404} if may_write else {403}
        assert answer.status_code in expected
        if not may_write:
            assert content(answer) == {"error": "Forbidden"}


def test_a_role_that_was_taken_away() -> None:
    api = Api(token_of("wendy"))
    assert api.list().status_code == 200
    remove_member(REPOSITORY, "wendy")
    assert api.list().status_code == 404


def test_refusals_are_recorded() -> None:
    Api(token_of("rita")).set("KEY", "v")
    Api(token_of("bob")).read("KEY")
    events = AuditEvent.objects.filter(kind="refused").order_by("pk")
    assert [(e.username, e.repository) for e in events] == [
        ("rita", REPOSITORY),
        ("bob", REPOSITORY),
    ]
    assert all(event.token.startswith("fgt_") and len(event.token) == 10 for event in events)


def test_guesses_are_counted_and_a_right_token_passes(
    frozen_guesses: Callable[[float], None],
) -> None:
    wrong = Api("fgt_" + "x" * 36)
    assert [wrong.list().status_code for _ in range(31)] == [401] * 30 + [429]
    answer = wrong.list()
    assert int(answer["Retry-After"]) >= 1
    assert Api("not-a-token").list().status_code == 401
    assert Api(token_of("alice")).list().status_code == 200
    frozen_guesses(301)
    assert wrong.list().status_code == 401
