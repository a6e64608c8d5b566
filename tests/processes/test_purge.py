"""Celery for real: what expired is gone at once for readers, and soon from the database."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.sharing import (
    Share,
    acknowledged,
    create,
    create_request,
    delete_request,
    open_share,
)
from tests.support.clients.wire import exchange, request, volley
from tests.support.load.ledger import Stream
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service

PRESETS = "1s,1h"
SEND = "from secrets_app.tasks import purge_expired; purge_expired.delay()"
SHARES, VALUES, EVENTS = "secrets_app_share", "vault_app_storedvalue", "audit_app_auditevent"


def _expired(service: Service, count: int) -> list[Share]:
    """Make shares, wait until they expired, and see that each is a 404 from then on."""
    requests = [create_request(f"short-lived {n}", duration="1s") for n in range(count)]
    shares = [acknowledged(answer, "") for answer in volley(service.port, requests)]
    last = max(shares, key=lambda share: share.expires_at)
    page = request("GET", f"/s/{last.id}")
    wait_until(lambda: exchange(service.port, page).status == 404, "expiry")
    for method in ("GET", "HEAD"):
        asked = [request(method, f"/secrets/{share.id}") for share in shares]
        assert {answer.status for answer in volley(service.port, asked)} == {404}
    return shares


def _counts(service: Service) -> tuple[int, int, int]:
    """Return how many shares, values and 'expired' events the database has."""
    expired = stored.count(service, EVENTS, "kind = 'expired'")
    return stored.count(service, SHARES), stored.count(service, VALUES), expired


@pytest.mark.parametrize("redis", [False, True], ids=["filesystem", "redis"])
def test_the_worker_purges(make_service: MakeService, any_database: str, redis: bool) -> None:
    service = make_service(any_database, redis=redis, TTL_PRESETS=PRESETS)
    kept = create(service.port, "kept")
    _expired(service, 20)
    assert sum(_counts(service)[::2]) == 21, "expired shares are there, or were purged by beat"
    service.manage("shell", "-c", SEND)
    wait_until(lambda: _counts(service) == (1, 1, 20), "the purge")
    assert open_share(service.port, kept).json()["content"] == "kept"


def test_the_command(make_service: MakeService, any_database: str) -> None:
    service = make_service(any_database, TTL_PRESETS=PRESETS)
    kept = create(service.port, "kept")
    _expired(service, 5)
    waiting = _counts(service)[0] - 1
    told = service.manage("purge_expired", "--dry-run").stdout
    assert told == f"{waiting} expired shares would be purged.\n"
    assert service.manage("purge_expired").stdout == f"{waiting} expired shares purged.\n"
    assert _counts(service) == (1, 1, 5)
    assert service.manage("purge_expired").stdout == "0 expired shares purged.\n"
    assert open_share(service.port, kept).json()["content"] == "kept"


def test_several_purges_at_once(make_service: MakeService, any_database: str) -> None:
    """Two commands and the worker purge, while shares are made and opened: nothing is lost."""
    service = make_service(any_database, redis=True, TTL_PRESETS=PRESETS)
    for _ in range(3):
        _expired(service, 100)
    with Stream(service, threads=2) as stream, ThreadPoolExecutor(3) as pool:
        sent = pool.submit(service.manage, "shell", "-c", SEND)
        purges = [pool.submit(service.manage, "purge_expired") for _ in range(2)]
        stream.await_more(50)
        assert sent.result().returncode == 0
        assert all(purge.result().stdout.endswith("expired shares purged.\n") for purge in purges)
    wait_until(lambda: _counts(service)[2] == 300, "the purge of each share, once")
    stream.settle()
    assert _counts(service) == (0, 0, 300)


def test_an_expired_share_can_not_be_deleted(make_service: MakeService) -> None:
    """The right token after expiry: 404, like every other word about it."""
    service = make_service(TTL_PRESETS=PRESETS)
    (share,) = _expired(service, 1)
    assert exchange(service.port, delete_request(share)).status == 404
