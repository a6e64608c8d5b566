"""POST /secrets (docs/api.md: "Create")."""

import json
import re
from datetime import UTC, datetime

import pytest
from django.test import Client
from hypothesis import given
from pytest_django.fixtures import Settings

from fugata_core.clock import DatabaseClock
from secrets_app.models import Share
from tests.secrets_app.api.conftest import Post
from tests.secrets_app.api.support import assert_error, assert_json
from tests.secrets_app.support import texts
from tests.support.in_process.doubles import FaultyKeys, MemoryStore

pytestmark = pytest.mark.django_db


def test_201_has_exactly_the_documented_fields(post: Post) -> None:
    answer = post(one_time=True, metadata="label")
    assert answer.status_code == 201
    fields = answer.json()
    assert list(fields) == ["id", "deletion_token", "expires_at"]
    assert re.fullmatch(r"fug_[0-9A-Za-z]{22,}", fields["id"])
    assert re.fullmatch(r"tok_[0-9A-Za-z]{22,}", fields["deletion_token"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fields["expires_at"])
    assert_json(answer)


def test_the_addresses_of_what_was_made(post: Post) -> None:
    answer = post()
    share_id = answer.json()["id"]
    assert answer["Location"] == f"/secrets/{share_id}"
    assert answer["Link"] == f'</s/{share_id}>; rel="alternate"; type="text/html"'


@pytest.mark.parametrize(
    ("now", "written"),
    [
        (1_764_595_800.0, "2025-12-01T13:30:00Z"),
        (1_764_595_800.001, "2025-12-01T13:30:01Z"),
        (1_764_595_800.999, "2025-12-01T13:30:01Z"),
    ],
)
def test_expiry_is_rounded_up(
    post: Post, monkeypatch: pytest.MonkeyPatch, now: float, written: str
) -> None:
    monkeypatch.setattr(DatabaseClock, "now", lambda _: now - 3600)
    assert post(duration="1h").json()["expires_at"] == written


def test_one_time_is_false_by_default(post: Post) -> None:
    post()
    assert not Share.objects.get().one_time


def test_opening_gives_what_creating_took(post: Post, client: Client) -> None:
    made = post(content="s3cret", metadata="label", one_time=True).json()
    opened = client.get(f"/secrets/{made['id']}").json()
    assert opened == {
        "content": "s3cret",
        "metadata": "label",
        "expires_at": made["expires_at"],
        "one_time": True,
    }


@given(content=texts)
def test_any_text_comes_back(post: Post, client: Client, content: str) -> None:
    made = post(content=content).json()
    answer = client.get(f"/secrets/{made['id']}")
    assert json.loads(answer.getvalue())["content"] == content


def test_text_that_is_sent_unescaped_comes_back(post: Post, client: Client) -> None:
    text = "\x7f é € 👩‍👩‍👧 \u202e \u2028 \ufeff"
    body = json.dumps({"content": text, "duration": "1h"}, ensure_ascii=False)
    made = post(body.encode()).json()
    assert client.get(f"/secrets/{made['id']}").json()["content"] == text


def test_a_byte_order_mark_is_passed_over(client: Client) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"content": "s", "duration": "1h"}).encode()
    assert client.post("/secrets", body, content_type="application/json").status_code == 201


@pytest.mark.parametrize("more", [{}, {"a": 1}, {"id": "fug_x"}, {"content2": None}, {"": []}])
def test_unknown_fields_are_ignored(post: Post, more: dict[str, object]) -> None:
    assert post(**more).status_code == 201


DURATION = "Invalid duration: must be one of 5m, 1h, 24h, 7d, 30d"


@pytest.mark.parametrize("duration", ["", "2h", "60m", " 1h", "1H", "\0", "1h\0", "\u0665m"])
def test_a_duration_that_is_not_on_offer(post: Post, duration: str) -> None:
    assert_error(post(duration=duration), 400, DURATION)


UNUSABLE: dict[str, list[object]] = {
    "content": ["", None, 1, True, [], {}, ["s"], 1.5, 10**400],
    "duration": [None, 1, True, [], {}, ["1h"], 3600, 10**400],
    "one_time": [None, 0, 1, "", "true", "yes", [], {}, 1.0],
    "metadata": [1, True, [], {}, "\0", "a\0b", "l" * 1025],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in UNUSABLE for value in UNUSABLE[field]]
)
def test_a_field_that_can_t_be_used(post: Post, field: str, value: object) -> None:
    answer = post(**{field: value})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].startswith(f"Invalid {field}: ")
    assert Share.objects.count() == 0


@pytest.mark.parametrize("missing", ["content", "duration"])
def test_a_field_that_is_missing(post: Post, missing: str) -> None:
    fields = {"content": "s", "duration": "1h"}
    del fields[missing]
    answer = post(json.dumps(fields).encode())
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"Invalid {missing}: ")


@pytest.mark.parametrize("metadata", [None, "", "l" * 1024, "👩" * 1024, " s ", "a\nb"])
def test_metadata_that_is_accepted(post: Post, client: Client, metadata: str | None) -> None:
    made = post(metadata=metadata).json()
    assert client.get(f"/secrets/{made['id']}").json()["metadata"] == metadata


@pytest.mark.parametrize("character", ["x", "é", "👩", "\0"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_exactly_the_maximum_however_json_escapes_it(
    post: Post, client: Client, settings: Settings, character: str, ascii_only: bool
) -> None:
    settings.MAX_SECRET_SIZE = 4096
    content = character * (4096 // len(character.encode()))
    for text, status in ((content, 201), (content + "x", 413)):
        fields = {"content": text, "duration": "1h"}
        answer = post(json.dumps(fields, ensure_ascii=ascii_only).encode())
        assert answer.status_code == status
    assert_error(answer, 413, "Secret exceeds maximum size of 4096 bytes")


def test_a_body_that_can_hold_no_allowed_secret(post: Post, settings: Settings) -> None:
    settings.MAX_SECRET_SIZE, settings.MAX_BODY_SIZE = 100, 6 * 100 + 65_536
    assert post(b" " * 60_000 + b'{"content":"s","duration":"1h"}').status_code == 201
    answer = post(b" " * 66_137)
    assert_error(answer, 413, "Secret exceeds maximum size of 100 bytes")


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/vnd.api+json",
        "json",
        "/",
        ";",
        "text/json",
    ],
)
def test_another_media_type(client: Client, media_type: str) -> None:
    body = b'{"content":"s","duration":"1h"}'
    answer = client.generic("POST", "/secrets", body, content_type=media_type)
    sentence = "Unsupported media type: send the body as Content-Type: application/json"
    assert_error(answer, 415, sentence)
    assert Share.objects.count() == 0


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8"],
)
def test_the_media_type(client: Client, media_type: str) -> None:
    body = b'{"content":"s","duration":"1h"}'
    assert client.generic("POST", "/secrets", body, content_type=media_type).status_code == 201


def test_a_compressed_body(client: Client) -> None:
    answer = client.post("/secrets", b"x", "application/json", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_a_key_provider_that_fails(post: Post, faulty_keys: FaultyKeys) -> None:
    faulty_keys.failing = {"wrap"}
    assert_error(post(), 500, "Failed to encrypt secret")
    faulty_keys.failing = set()
    assert post().status_code == 201


def test_a_store_that_fails(post: Post, remote_store: MemoryStore) -> None:
    remote_store.failing = {"put"}
    assert_error(post(), 500, "Failed to encrypt secret")
    remote_store.failing = set()
    assert post().status_code == 201


def test_what_nobody_foresaw(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("s3cret")

    monkeypatch.setattr("secrets_app.api.views.create_share", fail)
    assert_error(post(), 500, "Failed to encrypt secret")


@pytest.mark.parametrize("preset", ["5m", "1h", "24h", "7d", "30d"])
def test_each_preset_is_accepted(post: Post, preset: str) -> None:
    answer = post(duration=preset)
    assert answer.status_code == 201
    assert datetime.fromisoformat(answer.json()["expires_at"]) > datetime.now(UTC)
