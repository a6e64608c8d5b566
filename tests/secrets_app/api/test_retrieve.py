"""GET and HEAD /secrets/{id} (docs/api.md: "Open")."""

import json

import pytest
from django.test import Client

from fugata_core import tokens
from secrets_app.models import Share
from tests.secrets_app.api.conftest import Post
from tests.secrets_app.api.support import assert_error, assert_json, assert_unopened, body_of
from tests.secrets_app.support import expire, kinds, share
from tests.support.in_process.doubles import FaultyKeys, MemoryStore

pytestmark = pytest.mark.django_db

NOT_FOUND = (404, "Secret not found")


def test_200_has_exactly_the_documented_fields(post: Post, client: Client) -> None:
    made = post(one_time=False).json()
    answer = client.get(f"/secrets/{made['id']}")
    assert answer.status_code == 200
    assert_json(answer)
    assert list(answer.json()) == ["content", "metadata", "expires_at", "one_time"]
    assert answer.json() == {
        "content": "s3cret",
        "metadata": None,
        "expires_at": made["expires_at"],
        "one_time": False,
    }


def test_a_one_time_share_opens_once(client: Client, share_id: str) -> None:
    assert client.get(f"/secrets/{share_id}").json()["one_time"] is True
    assert_error(client.get(f"/secrets/{share_id}"), *NOT_FOUND)


def test_an_expired_share(client: Client) -> None:
    created = share()
    expire(created)
    assert_error(client.get(f"/secrets/{created.share_id}"), *NOT_FOUND)
    assert client.head(f"/secrets/{created.share_id}").status_code == 404


@pytest.mark.parametrize(
    "share_id",
    [
        "fug_" + "a" * 22,
        "fug_",
        "x",
        "%00",
        "fug_%00",
        "%ff",
        "%F0%9F%92%A9",
        "fug_" + "a" * 22 + "%0A",
        "a" * 8000,
        "..%2f..%2fetc",
    ],
)
def test_an_unknown_id(client: Client, share_id: str) -> None:
    answer = client.get(f"/secrets/{share_id}")
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]
    assert_json(answer)


def test_head_consumes_nothing(client: Client, share_id: str) -> None:
    for _ in range(3):
        answer = client.head(f"/secrets/{share_id}")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        assert answer["Cache-Control"] == "no-store"
        assert body_of(answer) == b""
    assert kinds(tokens.digest(share_id)) == ["created"]
    assert_unopened(client, share_id)


def test_head_of_what_is_gone(client: Client, share_id: str) -> None:
    client.get(f"/secrets/{share_id}")
    for gone in (share_id, "fug_" + "a" * 22, "x"):
        answer = client.head(f"/secrets/{gone}")
        assert answer.status_code == 404
        assert body_of(answer) == b""


@pytest.mark.parametrize("character", ["x", "é", "€", "👩", "\0", '"', "\\"])
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 200_000])
def test_content_that_comes_piece_by_piece(client: Client, character: str, size: int) -> None:
    content = "x" * (size % 7) + character * (size // len(character.encode()))
    created = share(content)
    answer = client.get(f"/secrets/{created.share_id}")
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    assert json.loads(body_of(answer))["content"] == content


def test_a_key_provider_that_fails(client: Client, faulty_keys: FaultyKeys, share_id: str) -> None:
    faulty_keys.failing = {"unwrap"}
    assert_error(client.get(f"/secrets/{share_id}"), 500, "Failed to decrypt secret")
    faulty_keys.failing = set()
    assert_unopened(client, share_id)


def test_a_store_that_fails(client: Client, remote_store: MemoryStore, share_id: str) -> None:
    remote_store.failing = {"get"}
    assert_error(client.get(f"/secrets/{share_id}"), 500, "Failed to decrypt secret")
    remote_store.failing = set()
    assert_unopened(client, share_id)


def test_a_row_that_was_edited(client: Client, share_id: str) -> None:
    Share.objects.update(one_time=False)
    assert_error(client.get(f"/secrets/{share_id}"), 500, "Failed to decrypt secret")


def test_what_nobody_foresaw(
    client: Client, share_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("s3cret")

    monkeypatch.setattr("secrets_app.api.views.reveal_share", fail)
    assert_error(client.get(f"/secrets/{share_id}"), 500, "Failed to decrypt secret")
