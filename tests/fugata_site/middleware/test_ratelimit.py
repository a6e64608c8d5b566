"""The bucket at the door: 429 with what the contract names, for each client alone."""

import time
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from secrets_app.models import Share

pytestmark = pytest.mark.django_db

PATH = "/secrets/fug_" + "a" * 22


@pytest.fixture(autouse=True)
def strict(settings: Settings) -> None:
    """Two at once, then one a minute."""
    settings.RATE_LIMIT_RPM, settings.RATE_LIMIT_BURST = 1, 2


def statuses(client: Client, count: int, peer: str = "192.0.2.1", **more: Any) -> list[int]:
    return [client.get(PATH, REMOTE_ADDR=peer, **more).status_code for _ in range(count)]


def test_the_burst_then_429(client: Client) -> None:
    assert statuses(client, 4) == [404, 404, 429, 429]


def test_the_answer_is_the_documented_one(client: Client) -> None:
    statuses(client, 2)
    before = time.time()
    answer = client.get(PATH, REMOTE_ADDR="192.0.2.1")
    assert answer.status_code == 429
    assert answer.json() == {"error": "Rate limit exceeded"}
    assert answer["X-RateLimit-Limit"] == "1"
    assert answer["X-RateLimit-Remaining"] == "0"
    assert before < int(answer["X-RateLimit-Reset"]) <= before + 122
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert answer["Cache-Control"] == "no-store"


def test_what_remains(client: Client) -> None:
    answers = [client.get(PATH) for _ in range(3)]
    assert [answer["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]


def test_each_client_has_its_own(client: Client) -> None:
    assert statuses(client, 3, "192.0.2.1")[-1] == 429
    assert statuses(client, 1, "192.0.2.2") == [404]
    assert statuses(client, 1, "::ffff:192.0.2.1") == [429]


def test_a_claimed_address_is_no_new_bucket(client: Client) -> None:
    for number in range(2):
        statuses(client, 1, headers={"x-forwarded-for": f"198.51.100.{number}"})
    assert statuses(client, 1, headers={"x-forwarded-for": "198.51.100.9"}) == [429]


def test_pages_are_limited_and_answer_with_a_page(client: Client) -> None:
    statuses(client, 2, "127.0.0.1")
    answer = client.get("/")
    assert answer.status_code == 429
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Retry-After"]


def test_a_form_that_is_refused_comes_back_as_it_was(client: Client) -> None:
    statuses(client, 2, "127.0.0.1")
    answer = client.post("/", {"content": "typed <secret>", "duration": "1h", "label": "mine"})
    assert answer.status_code == 429
    page = answer.content.decode()
    assert "typed &lt;secret&gt;" in page
    assert 'value="mine"' in page
    assert "Nothing was used up" in page
    assert answer["Retry-After"]
    assert answer["Cache-Control"] == "no-store"


def test_a_refused_create_keeps_nothing(client: Client) -> None:
    statuses(client, 2, "127.0.0.1")
    body = {"content": "s", "duration": "1h"}
    assert client.post("/secrets", body, "application/json").status_code == 429
    assert Share.objects.count() == 0


def test_health_and_static_files_are_not_limited(client: Client) -> None:
    statuses(client, 3, "127.0.0.1")
    for path in ("/livez", "/static/fugata.css"):
        for _ in range(5):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "X-RateLimit-Limit" not in answer
            assert answer.getvalue()
