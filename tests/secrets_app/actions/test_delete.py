"""Deleting by hand: only with the share's own token; guessing tokens is slowed down."""

from collections.abc import Callable

import pytest
from django.core.cache import cache

from audit_app.actors import SERVICE, Actor
from fugata_core import tokens
from fugata_core.errors import RateLimited, Unauthorized
from secrets_app import ids
from secrets_app.actions.delete import delete_share
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import ShareNotFound
from secrets_app.models import Share
from tests.secrets_app.support import expire, kept, kinds, share
from tests.support.in_process.doubles import MemoryStore

pytestmark = pytest.mark.django_db

MALFORMED = ["", "tok_", "x", "tok_" + "a" * 21, "fug_" + "a" * 22, "tok_" + "é" * 22, "a" * 4000]


def guess(actor: Actor, share_id: str, token: str = "") -> type[Exception] | None:
    try:
        delete_share(share_id, token or ids.new_deletion_token(), actor)
    except (Unauthorized, RateLimited, ShareNotFound) as error:
        return type(error)
    return None


def test_the_right_token(actor: Actor) -> None:
    created = share()
    delete_share(created.share_id, created.deletion_token, actor)
    assert Share.objects.count() == kept() == 0
    assert kinds(tokens.digest(created.share_id)) == ["created", "deleted"]
    for action in (
        lambda: reveal_share(created.share_id, SERVICE),
        lambda: delete_share(created.share_id, created.deletion_token, SERVICE),
    ):
        with pytest.raises(ShareNotFound):
            action()


@pytest.mark.parametrize("token", MALFORMED)
def test_a_malformed_token(actor: Actor, token: str) -> None:
    created = share()
    with pytest.raises(Unauthorized) as raised:
        delete_share(created.share_id, token, actor)
    assert (raised.value.status, raised.value.sentence) == (401, "Unauthorized")
    assert raised.value.headers == {"WWW-Authenticate": "Bearer"}
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_a_wrong_token_and_another_share_s(actor: Actor) -> None:
    mine, other = share("mine"), share("other")
    assert guess(actor, mine.share_id) is Unauthorized
    assert guess(actor, mine.share_id, other.deletion_token) is Unauthorized
    assert guess(actor, mine.share_id, mine.share_id) is Unauthorized
    assert kinds(tokens.digest(mine.share_id)) == ["created"]


def test_what_is_not_there_is_not_found_whatever_the_token(actor: Actor) -> None:
    expired, opened = share(), share()
    expire(expired)
    reveal_share(opened.share_id, SERVICE)
    for created in (expired, opened):
        assert guess(actor, created.share_id, created.deletion_token) is ShareNotFound
        assert guess(actor, created.share_id) is ShareNotFound
    assert guess(actor, ids.new_share_id()) is ShareNotFound
    assert guess(actor, "no id") is ShareNotFound


def test_thirty_wrong_ones_in_five_minutes(
    actor: Actor, frozen_guesses: Callable[[float], None]
) -> None:
    created = share()
    assert [guess(actor, created.share_id) for _ in range(30)] == [Unauthorized] * 30
    with pytest.raises(RateLimited) as raised:
        delete_share(created.share_id, ids.new_deletion_token(), actor)
    assert (raised.value.status, raised.value.sentence) == (429, "Rate limit exceeded")
    assert 1 <= int(raised.value.headers["Retry-After"]) <= 300
    frozen_guesses(301)
    assert guess(actor, created.share_id) is Unauthorized


def test_a_right_one_always_passes(actor: Actor, frozen_guesses: Callable[[float], None]) -> None:
    created = share()
    for _ in range(40):
        guess(actor, created.share_id)
    assert guess(actor, created.share_id) is RateLimited
    delete_share(created.share_id, created.deletion_token, actor)
    assert Share.objects.count() == 0


def test_malformed_ones_are_not_counted(
    actor: Actor, frozen_guesses: Callable[[float], None]
) -> None:
    created = share()
    for number in range(100):
        assert guess(actor, created.share_id, MALFORMED[number % 6 + 1]) is Unauthorized
    assert guess(actor, created.share_id) is Unauthorized


def test_each_client_is_counted_alone(
    actor: Actor, frozen_guesses: Callable[[float], None]
) -> None:
    created, other = share(), Actor(bucket="somebody else")
    for _ in range(31):
        guess(actor, created.share_id)
    assert guess(actor, created.share_id) is RateLimited
    assert guess(other, created.share_id) is Unauthorized


def test_a_cache_that_fails_leaves_the_answer_a_401(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    created = share()
    monkeypatch.setattr(type(cache._connections["default"]), "incr", fail)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(cache._connections["default"]), "add", fail)  # type: ignore[attr-defined]
    assert guess(actor, created.share_id) is Unauthorized


def test_the_remote_value_goes_after_the_row(remote_store: MemoryStore, actor: Actor) -> None:
    created = share()
    rows_left: list[int] = []
    remote_store.before["delete"] = lambda: rows_left.append(Share.objects.count())
    delete_share(created.share_id, created.deletion_token, actor)
    assert rows_left == [0]
    assert remote_store.values == {}


def test_a_store_that_fails_does_not_change_the_answer(
    remote_store: MemoryStore, actor: Actor
) -> None:
    created = share()
    remote_store.failing = {"delete"}
    delete_share(created.share_id, created.deletion_token, actor)
    assert Share.objects.count() == 0
