"""Idempotency keys: the effect once, the answer again, and nothing that weakens the link."""

import json
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidTag
from django.db import DatabaseError
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from fugata_core import tokens
from secrets_app import idempotency
from secrets_app.actions.create import Draft
from secrets_app.actions.idempotent import create_idempotently, reveal_idempotently
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import ShareNotFound
from secrets_app.idempotency import IdempotentRequest, for_opening, purge_answers
from secrets_app.models import IdempotentResponse, Share
from secrets_app.tasks import purge_expired
from tests.secrets_app.support import at_once, expire, kinds, share

pytestmark = pytest.mark.django_db

KEY, OTHER = "k" * 22, "o" * 255
BODY = {"content": "s3cret", "duration": "1h", "one_time": True}


def create(client: Client, key: str | None = KEY, **changes: object) -> object:
    headers = {"idempotency-key": key} if key is not None else {}
    body = json.dumps(BODY | changes)
    return client.post("/secrets", body, "application/json", headers=headers)


def opening(client: Client, share_id: str, key: str | None = KEY) -> object:
    headers = {"idempotency-key": key} if key is not None else {}
    return client.get(f"/secrets/{share_id}", headers=headers)


def grace_is_over() -> None:
    IdempotentResponse.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))


def test_a_repeated_create_creates_once(client: Client) -> None:
    first, again = create(client), create(client)
    assert first.status_code == again.status_code == 201  # type: ignore[attr-defined]
    assert first.content == again.content  # type: ignore[attr-defined]
    for name in ("Location", "Link"):
        assert first[name] == again[name]  # type: ignore[index]
    assert Share.objects.count() == 1
    assert kinds(bytes(Share.objects.get().digest)) == ["created", "repeated"]


def test_another_key_or_none_creates_another(client: Client) -> None:
    for key in (KEY, OTHER, None, None):
        assert create(client, key).status_code == 201  # type: ignore[attr-defined]
    assert Share.objects.count() == 4
    assert IdempotentResponse.objects.count() == 2


def test_another_body_under_the_same_key(client: Client) -> None:
    create(client)
    answer = create(client, content="another")
    assert answer.status_code == 422  # type: ignore[attr-defined]
    assert "use a new key" in answer.json()["error"]  # type: ignore[attr-defined]
    assert Share.objects.count() == 1


def test_the_grace_time_ends(client: Client) -> None:
    create(client)
    grace_is_over()
    assert create(client, content="another").status_code == 201  # type: ignore[attr-defined]
    assert Share.objects.count() == 2


def test_a_refused_create_uses_no_key(client: Client) -> None:
    assert create(client, duration="never").status_code == 400  # type: ignore[attr-defined]
    assert create(client).status_code == 201  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", ["", "short", "k" * 21, "k" * 256, "k" * 22 + " ", "é" * 22])
def test_keys_that_could_be_guessed(client: Client, key: str) -> None:
    made = share()
    calls: list[Callable[[], object]] = [
        lambda: create(client, key),
        lambda: opening(client, made.share_id, key),
        lambda: client.delete(f"/secrets/{made.share_id}", headers={"idempotency-key": key}),
    ]
    for call in calls:
        answer = call()
        assert answer.status_code == 400  # type: ignore[attr-defined]
        assert "22 to 255 visible ASCII" in answer.json()["error"]  # type: ignore[attr-defined]
    assert opening(client, made.share_id, None).status_code == 200  # type: ignore[attr-defined]


def test_a_kept_answer_that_was_damaged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    create(client)
    IdempotentResponse.objects.update(sealed=bytes(60))
    assert create(client).status_code == 500  # type: ignore[attr-defined]
    assert "a kept answer does not open: InvalidTag" in caplog.text


def test_a_repeated_opening_gets_the_same_answer(client: Client) -> None:
    made = share("only once", label="a label")
    first = opening(client, made.share_id)
    again = opening(client, made.share_id)
    assert first.status_code == again.status_code == 200  # type: ignore[attr-defined]
    assert first.content == again.content  # type: ignore[attr-defined]
    assert kinds(tokens.digest(made.share_id)) == ["created", "opened", "repeated"]


def test_everybody_else_gets_what_they_would_have_got(client: Client) -> None:
    made = share()
    opening(client, made.share_id)
    for key in (None, OTHER, KEY[:-1] + "x"):
        assert opening(client, made.share_id, key).status_code == 404  # type: ignore[attr-defined]
    assert client.head(f"/secrets/{made.share_id}").status_code == 404
    assert client.get(f"/s/{made.share_id}").status_code == 404
    other = share("another share")
    assert opening(client, other.share_id).json()["content"] == "another share"  # type: ignore[attr-defined]


def test_a_share_for_many_readers_keeps_nothing(client: Client) -> None:
    made = share(one_time=False)
    for _ in range(2):
        assert opening(client, made.share_id).status_code == 200  # type: ignore[attr-defined]
    assert IdempotentResponse.objects.count() == 0


def test_the_expiry_still_wins(client: Client) -> None:
    made = share()
    Share.objects.update(expires_at=made.expires_at)
    opening(client, made.share_id)
    kept = IdempotentResponse.objects.get()
    assert kept.expires_at <= made.expires_at
    late = share()
    expire(late)
    assert opening(client, late.share_id).status_code == 404  # type: ignore[attr-defined]


def test_a_short_lived_share_ends_its_kept_answers(client: Client, settings: Settings) -> None:
    settings.TTL_PRESETS = {"5s": timedelta(seconds=5)}
    create(client, duration="5s")
    opening(client, create(client, duration="5s").json()["id"])  # type: ignore[attr-defined]
    limit = datetime.now(UTC) + timedelta(seconds=7)
    assert all(kept.expires_at < limit for kept in IdempotentResponse.objects.all())
    assert IdempotentResponse.objects.count() == 2


def test_an_acknowledgement_destroys(client: Client) -> None:
    made = share()
    opening(client, made.share_id)
    place, headers = f"/secrets/{made.share_id}", {"idempotency-key": KEY}
    assert client.delete(place, headers={"idempotency-key": OTHER}).status_code == 401
    answer = client.delete(place, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"message": "Secret deleted successfully"})
    assert IdempotentResponse.objects.count() == 0
    assert opening(client, made.share_id).status_code == 404  # type: ignore[attr-defined]
    assert client.delete(place, headers=headers).status_code == 401
    assert kinds(tokens.digest(made.share_id)) == ["created", "opened", "acknowledged"]


def test_a_deletion_token_still_deletes(client: Client) -> None:
    made = share()
    headers = {"idempotency-key": KEY, "authorization": f"Bearer {made.deletion_token}"}
    assert client.delete(f"/secrets/{made.share_id}", headers=headers).status_code == 200
    assert opening(client, made.share_id).status_code == 404  # type: ignore[attr-defined]


def test_the_purge_destroys(client: Client) -> None:
    create(client)
    assert purge_answers() == 0
    grace_is_over()
    purge_expired()
    assert IdempotentResponse.objects.count() == 0


def test_nothing_is_consumed_where_the_answer_can_not_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = share()

    def fail(*_: object) -> None:
        raise DatabaseError("injected")

    monkeypatch.setattr("secrets_app.actions.idempotent.store_answer", fail)
    with pytest.raises(DatabaseError):
        reveal_idempotently(made.share_id, SERVICE, KEY)
    with pytest.raises(DatabaseError):
        create_idempotently(Draft("s", "1h"), SERVICE, KEY, b"{}")
    monkeypatch.undo()
    assert Share.objects.count() == 1
    assert reveal_share(made.share_id, SERVICE).content == b"s3cret"


def test_what_is_kept_opens_without_key_and_link_to_nobody(client: Client) -> None:
    made = share("the content")
    opening(client, made.share_id)
    kept = IdempotentResponse.objects.get()
    stored = b"".join(map(bytes, (kept.digest, kept.request_mac, kept.sealed)))
    for text in (b"the content", KEY.encode(), made.share_id[4:].encode()):
        assert text not in stored
    wrong, scope = share(), b"open" + tokens.digest(made.share_id)
    half_right = [
        for_opening(OTHER, made.share_id),
        IdempotentRequest(KEY, scope),
        IdempotentRequest(KEY, scope, link_secret=wrong.share_id.encode()),
    ]
    sealed = bytes(kept.sealed)
    for guess in half_right:
        with pytest.raises(InvalidTag):
            guess.cipher().decrypt(sealed[:12], sealed[12:], bytes(kept.digest))


def test_an_edited_answer_is_not_shown(client: Client) -> None:
    made = share()
    opening(client, made.share_id)
    sealed = bytearray(IdempotentResponse.objects.get().sealed)
    sealed[-1] ^= 1
    IdempotentResponse.objects.update(sealed=bytes(sealed))
    answer = opening(client, made.share_id)
    assert answer.status_code == 500  # type: ignore[attr-defined]
    assert answer.json() == {"error": "Failed to decrypt secret"}  # type: ignore[attr-defined]


@given(
    content=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    label=st.none() | st.text("ab<é"),
)
def test_any_answer_comes_back(content: str, label: str | None) -> None:
    made = share(content, label=label)
    key = secrets.token_urlsafe(24)
    first = reveal_idempotently(made.share_id, SERVICE, key)
    assert reveal_idempotently(made.share_id, SERVICE, key) == first
    assert first.content == content.encode()


@pytest.mark.django_db(transaction=True)
def test_the_same_request_many_times_at_once(rounds: int) -> None:
    """Every repetition is answered with the one share, and a reader without the key with a 404."""
    count = max(rounds // 3, 4)
    made = [share(f"content {n}") for n in range(count)]

    def open_it(number: int) -> str:
        try:
            return reveal_idempotently(made[number].share_id, SERVICE, KEY).content.decode()
        except ShareNotFound:
            return "gone"

    for number, answers in enumerate(at_once(6, count, open_it)):
        assert answers == [f"content {number}"] * 6
        assert Counter(kinds(tokens.digest(made[number].share_id)))["opened"] == 1

    def create_it(number: int) -> str:
        key = f"{number:022d}"
        return create_idempotently(Draft("s", "1h"), SERVICE, key, b"the body").share_id

    for answers in at_once(6, count, create_it):
        assert len(set(answers)) == 1
    assert Share.objects.count() == count


@pytest.mark.django_db(transaction=True)
def test_readers_with_and_without_the_key(rounds: int) -> None:
    """Of two readers with keys of their own one has the secret, however often both repeat."""
    count = max(rounds // 3, 4)
    made = [share(f"content {n}") for n in range(count)]
    keys = iter(range(10**6))

    def open_it(number: int) -> tuple[str, str]:
        key = f"{next(keys):022d}"
        results = []
        for _ in range(3):
            try:
                results.append(reveal_idempotently(made[number].share_id, SERVICE, key).content)
            except ShareNotFound:
                results.append(b"gone")
        assert len(set(results)) == 1
        return key, results[0].decode()

    for answers in at_once(5, count, open_it):
        assert sorted(content == "gone" for _, content in answers) == [False] + [True] * 4


def test_the_page_can_be_asked_again(client: Client) -> None:
    made = share("on the page")
    page = client.get(f"/s/{made.share_id}").content.decode()
    key = page.split('name="idempotency_key" value="')[1].split('"')[0]
    assert idempotency.validate_key(key)
    for _ in range(2):
        answer = client.post(f"/s/{made.share_id}", {"idempotency_key": key})
        assert answer.status_code == 200
        assert b"on the page" in answer.content
        assert b"reload this page for 60 seconds" in answer.content
    assert client.post(f"/s/{made.share_id}", {"idempotency_key": OTHER}).status_code == 404
    assert client.post(f"/s/{made.share_id}").status_code == 404
    assert client.post(f"/s/{made.share_id}", {"idempotency_key": "short"}).status_code == 400
