"""What holds for every answer of the API: the error format, the headers, the methods."""

import re

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client

from audit_app.models import AuditEvent
from fugata_core.errors import UnknownHost
from tests.secrets_app.api.conftest import Post
from tests.secrets_app.api.support import assert_error, assert_json

pytestmark = pytest.mark.django_db

AN_ID = "fug_" + "a" * 22


@pytest.mark.parametrize(
    ("path", "allowed"), [("/secrets", {"POST"}), (f"/secrets/{AN_ID}", {"GET", "HEAD", "DELETE"})]
)
@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"]
)
def test_methods(client: Client, method: str, path: str, allowed: set[str]) -> None:
    answer = client.generic(method, path, b"{}", content_type="application/json")
    if method in allowed:
        assert answer.status_code != 405
        return
    assert answer.status_code == 405
    assert set(answer["Allow"].split(", ")) == allowed
    assert_json(answer)
    if method != "HEAD":
        assert_error(answer, 405, "Method not allowed")


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/secrets/", f"/secrets/{AN_ID}/", "/secrets/a/b", "/secretsx", "/v2/secrets"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path(client: Client, method: str, path: str) -> None:
    assert_error(client.generic(method, path), 404, "Not found")


def test_an_unknown_path_of_the_api_is_json_for_a_browser_too(client: Client) -> None:
    answer = client.get("/secrets/a/b", headers={"accept": "text/html"})
    assert_error(answer, 404, "Not found")


def test_an_unknown_host(client: Client) -> None:
    answer = client.get(f"/secrets/{AN_ID}", headers={"host": "evil.example"})
    assert_error(answer, 400, UnknownHost.sentence)
    assert "ALLOWED_HOSTS" in UnknownHost.sentence


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
def test_the_database_can_t_be_reached(
    client: Client, post: Post, monkeypatch: pytest.MonkeyPatch, method: str, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error("could not connect to s3cret")

    for name in ("create_share", "reveal_share", "delete_share", "find_share"):
        monkeypatch.setattr(f"secrets_app.api.views.{name}", fail)
    if method == "POST":
        answer = post()
    else:
        headers = {"authorization": "Bearer t"}
        answer = client.generic(method, f"/secrets/{AN_ID}", headers=headers)
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) >= 1
    if method != "HEAD":
        assert_error(answer, 503, "Database unavailable")


@pytest.mark.parametrize("given", ["abcdefgh", "a" * 64, "0-1_2.3-aB", "b" * 8])
def test_a_request_id_is_accepted(client: Client, post: Post, given: str) -> None:
    answer = client.get(f"/secrets/{AN_ID}", headers={"x-request-id": given})
    assert answer["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "abc",
        "a" * 65,
        "with space",
        "a;b=c;d=e",
        "a" * 10 + "\n",
        "<script>x",
        "éééééééé",
        AN_ID,
        AN_ID.upper(),
        "request-Tok_9",
    ],
)
def test_another_request_id_is_replaced(client: Client, given: str) -> None:
    answer = client.get(f"/secrets/{AN_ID}", headers={"x-request-id": given})
    assert re.fullmatch(r"[0-9a-f]{16}", answer["X-Request-ID"])


def test_the_trail_names_the_request_and_no_address(client: Client) -> None:
    body = {"content": "s", "duration": "1h"}
    headers = {"x-request-id": "request-0001"}
    client.post("/secrets", body, "application/json", headers=headers, REMOTE_ADDR="192.0.2.7")
    event = AuditEvent.objects.get()
    assert event.request_id == "request-0001"
    assert len(bytes(event.address_hash or b"")) == 16
    assert b"192.0.2.7" not in bytes(event.address_hash or b"")


LIMITS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/secrets", 415),
        ("GET", f"/secrets/{AN_ID}", 404),
        ("DELETE", f"/secrets/{AN_ID}", 401),
        ("PUT", "/secrets", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/", 200),
        ("GET", f"/s/{AN_ID}", 404),
        ("POST", f"/s/{AN_ID}", 404),
    ],
)
def test_every_answer_has_the_limits_headers(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = client.generic(method, path, b"{}")
    assert answer.status_code == status
    assert all(answer[name].isdecimal() for name in LIMITS)
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Request-ID"]
