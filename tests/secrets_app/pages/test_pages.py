"""The pages: who looks consumes nothing, who presses the button does."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django.fixtures import Settings

from fugata_core import tokens
from secrets_app import ids
from secrets_app.models import Share
from tests.secrets_app.api.support import assert_page, assert_unopened
from tests.secrets_app.support import expire, kinds, share
from tests.support.in_process.doubles import FaultyKeys, MemoryStore

pytestmark = pytest.mark.django_db

UNKNOWN = "fug_" + "a" * 22


def form(**fields: str) -> dict[str, str]:
    return {"content": "s3cret", "duration": "1h", "one_time": "on"} | fields


def only_content(client: Client, answer: Any) -> str:
    """Return what the share that a page just made holds."""
    assert_page(answer)
    share_id = str(answer.context["link"]).rsplit("/", 1)[1]
    return str(client.get(f"/secrets/{share_id}").json()["content"])


def test_the_form(client: Client) -> None:
    assert_page(client.get("/"))
    assert client.head("/").status_code == 200
    assert Share.objects.count() == 0


def test_a_share_is_made(client: Client) -> None:
    answer = client.post("/", form(label="label"))
    row = Share.objects.get()
    assert (row.one_time, row.label) == (True, "label")
    assert answer.context["link"].startswith("http://testserver/s/fug_")
    assert only_content(client, answer) == "s3cret"


def test_links_are_made_with_the_public_address(client: Client, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://secrets.example.com"
    link = client.post("/", form()).context["link"]
    assert link.startswith("https://secrets.example.com/s/fug_")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  spaced  ", "  spaced  "),
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\nb", "a\nb"),
        ("👩 é", "👩 é"),
        (" ", " "),
    ],
)
def test_content_is_kept_as_it_was_typed(client: Client, typed: str, kept: str) -> None:
    assert only_content(client, client.post("/", form(content=typed))) == kept


@pytest.mark.parametrize(
    "fields",
    [{"content": ""}, {"duration": "2h"}, {"duration": ""}, {"label": "l" * 1025}, {"label": "\0"}],
    ids=str,
)
def test_a_form_that_can_t_be_used(client: Client, fields: dict[str, str]) -> None:
    assert_page(client.post("/", form(**fields)), 400)
    assert Share.objects.count() == 0


def test_a_secret_that_is_too_large(client: Client, settings: Settings) -> None:
    settings.MAX_SECRET_SIZE = 100
    assert_page(client.post("/", form(content="x" * 101)), 413)
    assert_page(client.post("/", form(content="x" * 100)))


def test_looking_consumes_nothing(client: Client) -> None:
    created = share(label="label")
    for _ in range(3):
        answer = client.get(f"/s/{created.share_id}")
        assert_page(answer)
        assert b"s3cret" not in answer.content
        assert client.head(f"/s/{created.share_id}").status_code == 200
    assert kinds(tokens.digest(created.share_id)) == ["created"]
    assert_unopened(client, created.share_id)


def test_pressing_the_button_opens_it_once(client: Client) -> None:
    created = share("<b>s3cret</b>")
    answer = client.post(f"/s/{created.share_id}")
    assert_page(answer)
    assert b"&lt;b&gt;s3cret&lt;/b&gt;" in answer.content
    assert_page(client.post(f"/s/{created.share_id}"), 404)
    assert_page(client.get(f"/s/{created.share_id}"), 404)


def test_another_share_opens_again(client: Client) -> None:
    created = share(one_time=False)
    for _ in range(2):
        assert b"s3cret" in client.post(f"/s/{created.share_id}").content


def test_a_large_secret_is_saved_as_a_file(client: Client) -> None:
    content = "é" * (2**19 + 1)
    created = share(content)
    answer = client.post(f"/s/{created.share_id}")
    assert answer.getvalue() == content.encode()
    assert answer["Content-Disposition"] == 'attachment; filename="secret.txt"'
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("share_id", [UNKNOWN, "x", "%00", "%ff", "a" * 8000])
def test_what_is_not_there(client: Client, method: str, share_id: str) -> None:
    assert_page(getattr(client, method)(f"/s/{share_id}"), 404)


def test_what_expired(client: Client) -> None:
    created = share()
    expire(created)
    assert_page(client.get(f"/s/{created.share_id}"), 404)
    assert_page(client.post(f"/s/{created.share_id}"), 404)


def test_deleting(client: Client) -> None:
    created = share()
    address = f"/s/{created.share_id}/delete"
    assert client.get(address).status_code == 405
    for wrong in ({}, {"deletion_token": "x"}, {"deletion_token": ids.new_deletion_token()}):
        assert_page(client.post(address, wrong), 401)
    assert_page(client.post(address, {"deletion_token": created.deletion_token}))
    assert_page(client.post(address, {"deletion_token": created.deletion_token}), 404)
    assert Share.objects.count() == 0


def test_a_form_without_a_csrf_token_changes_nothing() -> None:
    created, client = share(), Client(enforce_csrf_checks=True)
    assert_page(client.post(f"/s/{created.share_id}"), 403)
    token = {"deletion_token": created.deletion_token}
    assert_page(client.post(f"/s/{created.share_id}/delete", token), 403)
    answer = client.post("/", form(content="typed"))
    assert_page(answer, 403)
    assert b"typed" in answer.content
    assert Share.objects.count() == 1
    assert_unopened(Client(), created.share_id)


def test_failures_are_pages_too(
    client: Client, remote_store: MemoryStore, faulty_keys: FaultyKeys
) -> None:
    created = share()
    faulty_keys.failing, remote_store.failing = {"unwrap"}, {"put"}
    assert_page(client.post(f"/s/{created.share_id}"), 500)
    assert_page(client.post("/", form()), 500)
    faulty_keys.failing = set()
    assert b"s3cret" in client.post(f"/s/{created.share_id}").content


def test_the_database_can_t_be_reached(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("secrets_app.pages.views.reveal_share", fail)
    monkeypatch.setattr("secrets_app.pages.views.find_share", fail)
    monkeypatch.setattr("secrets_app.pages.views.create_share", fail)
    for answer in (
        client.get(f"/s/{UNKNOWN}"),
        client.post(f"/s/{UNKNOWN}"),
        client.post("/", form()),
    ):
        assert_page(answer, 503)
        assert answer["Retry-After"]


@pytest.mark.parametrize("path", ["/", f"/s/{UNKNOWN}"])
def test_what_protects_a_page(client: Client, path: str) -> None:
    assert_protected(client.get(path))


def test_what_protects_a_refusal(client: Client) -> None:
    """Also a page that the middleware answers with, before any view."""
    assert_page(unknown := client.get("/", headers={"host": "evil.example"}), 400)
    assert_protected(unknown)
    assert_page(large := client.post(f"/s/{UNKNOWN}", {"x": "x" * 70_000}), 413)
    assert_protected(large)


def test_what_protects_a_429(client: Client, settings: Settings) -> None:
    settings.RATE_LIMIT_RPM, settings.RATE_LIMIT_BURST = 1, 1
    client.get("/")
    assert_page(limited := client.get("/"), 429)
    assert_protected(limited)


def assert_protected(answer: Any) -> None:
    """It has every header that a page of ours has."""
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_methods(client: Client) -> None:
    for path in ("/", f"/s/{UNKNOWN}"):
        answer = client.put(path)
        assert answer.status_code == 405
        assert answer["Allow"] == "GET, HEAD, POST"
