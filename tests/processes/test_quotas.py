"""Quotas and who may create, in the service as it runs; a proxy's word tells clients apart."""

import json

import pytest

from tests.conftest import MakeService
from tests.support.clients.sharing import Share, acknowledged, create, create_request, open_share
from tests.support.clients.wire import Answer, exchange, request, volley
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service

ALICE, BOB = "192.0.2.1", "198.51.100.1"


def _create_from(address: str, content: str = "s") -> bytes:
    body = json.dumps({"content": content, "duration": "1h", "one_time": True}).encode()
    return request("POST", "/secrets", body, x_forwarded_for=address)


def _created(service: Service, address: str) -> Answer:
    return exchange(service.port, _create_from(address))


def test_a_quota_for_each_client(make_service: MakeService, any_database: str) -> None:
    service = make_service(
        any_database,
        redis=True,
        WEB_CONCURRENCY="3",
        TRUSTED_PROXIES="127.0.0.1",
        QUOTA_SHARES_PER_CLIENT="5",
    )
    answers = volley(service.port, [_create_from(ALICE) for _ in range(60)])
    shares = [acknowledged(answer, "s") for answer in answers if answer.status == 201]
    print(f"{len(shares)} of 60 creates at once, where 5 are allowed")
    assert {answer.status for answer in answers} == {201, 429}
    assert 5 <= len(shares) < 5 + 3 * 16
    assert _created(service, ALICE).status == 429
    assert _created(service, BOB).status == 201
    for share in shares:
        assert open_share(service.port, share).status == 200
    assert _created(service, ALICE).status == 201
    assert ALICE not in service.logged()


def test_a_quota_for_all(make_service: MakeService) -> None:
    service = make_service(QUOTA_SHARES_TOTAL="5", WEB_THREADS="8")
    answers = volley(service.port, [create_request("s") for _ in range(40)])
    shares = [acknowledged(answer, "s") for answer in answers if answer.status == 201]
    assert len(shares) == 5, "one process is exact"
    refused = next(answer for answer in answers if answer.status != 201)
    assert refused.status == 507
    assert "no room" in refused.json()["error"]
    assert open_share(service.port, shares[0]).status == 200

    def created_again() -> Share | None:
        answer = exchange(service.port, create_request("s"))
        return acknowledged(answer, "s") if answer.status == 201 else None

    wait_until(lambda: created_again() is not None, "room for one more")


def test_creation_from_some_networks(make_service: MakeService) -> None:
    service = make_service(TRUSTED_PROXIES="127.0.0.1", CREATE_ALLOWED_FROM="192.0.2.0/24")
    share = acknowledged(_created(service, ALICE), "s")
    refused = _created(service, BOB)
    assert refused.status == 403
    assert "certain networks" in refused.json()["error"]
    large = _create_from(BOB, "x" * 3_000_000)
    assert exchange(service.port, large).status == 403
    data = request("GET", f"/secrets/{share.id}", x_forwarded_for=BOB)
    assert exchange(service.port, data).json()["content"] == "s"


def test_creation_with_a_token(make_service: MakeService) -> None:
    service = make_service(CREATE_REQUIRES_LOGIN="true", FORCE_ONE_TIME="true")
    assert exchange(service.port, create_request("s")).status == 401
    page = exchange(service.port, request("GET", "/"))
    assert (page.status, page.headers["location"]) == (302, "/admin/login/?next=/")
    service.manage("create_repository", "repo", "--owner", "alice")
    made = service.manage("create_access_token", "alice")
    token = next(word for word in made.stdout.split() if word.startswith("fgt_"))
    body = b'{"content": "s", "duration": "1h"}'
    data = request("POST", "/secrets", body, authorization=f"Bearer {token}")
    share = acknowledged(exchange(service.port, data), "s")
    assert open_share(service.port, share).json()["one_time"] is True


@pytest.mark.parametrize("name", ["QUOTA_SHARES_TOTAL", "QUOTA_SHARES_PER_CLIENT"])
def test_a_quota_does_not_touch_openings(make_service: MakeService, name: str) -> None:
    service = make_service()
    share = create(service.port, "before")
    service.stop()
    service.settings[name] = "1"
    service.start()
    assert open_share(service.port, share).json()["content"] == "before"


def test_what_is_kept_for_a_retry_counts(make_service: MakeService, any_database: str) -> None:
    """Opened under an Idempotency-Key, and created again: the answers are stored content too."""
    service = make_service(
        any_database,
        TRUSTED_PROXIES="127.0.0.1",
        QUOTA_BYTES_PER_CLIENT="1000000",
        IDEMPOTENCY_GRACE_SECONDS="5",
    )
    kept = 0
    for number in range(10):
        made = exchange(service.port, _create_from(ALICE, "x" * 400_000))
        if made.status == 429:
            break
        kept += 400_000
        path = f"/secrets/{made.json()['id']}"
        key = f"an-idempotency-key-{number:010d}"
        opening = request("GET", path, None, idempotency_key=key, x_forwarded_for=BOB)
        assert exchange(service.port, opening).status == 200
    assert kept == 800_000
    assert made.status == 429
    assert 0 < int(made.headers["retry-after"]) <= 6, "when the first of them expires"
    assert exchange(service.port, _create_from(BOB, "x" * 400_000)).status == 201
    again = lambda: exchange(service.port, _create_from(ALICE, "x" * 400_000)).status == 201  # noqa: E731
    wait_until(again, "room, when the answers expire")


def test_what_is_kept_for_a_retry_counts_for_all(make_service: MakeService) -> None:
    service = make_service(QUOTA_SHARES_TOTAL="3")
    statuses = []
    for number in range(5):
        made = exchange(service.port, create_request("s"))
        statuses.append(made.status)
        if made.status == 201:
            key = f"an-idempotency-key-{number:010d}"
            path = f"/secrets/{made.json()['id']}"
            opening = request("GET", path, None, idempotency_key=key)
            assert exchange(service.port, opening).status == 200
    assert statuses == [201, 201, 201, 507, 507]
