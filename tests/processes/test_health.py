"""Health: /healthz and /livez answer whatever the database does, and all recovers by itself."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from operations_app.diagnostics.probes import KEYRING
from tests.conftest import MakeService
from tests.support.clients.sharing import (
    create,
    create_request,
    delete_request,
    open_request,
    open_share,
)
from tests.support.clients.wire import Line, exchange
from tests.support.load.crowd import Crowd
from tests.support.servers.parts import wait_until
from tests.support.servers.restartable import RestartablePostgresql
from tests.support.servers.service import Service

#: A probe's patience: what monitors usually wait.
TIMEOUT = 5.0
UNHEALTHY = {"status": "unhealthy", "error": "Database connection failed"}


@pytest.fixture
def own_postgresql() -> Iterator[RestartablePostgresql]:
    """A PostgreSQL server that the test may freeze and stop."""
    server = RestartablePostgresql()
    yield server
    server.thaw()
    server.close()


class _Hanging(Crowd):
    """Forty clients at a time whose requests hang; each that gives up is followed by another."""

    def __init__(self, port: int) -> None:
        super().__init__(40)
        self._port = port
        self.statuses: set[int] = set()

    def _run(self, number: int) -> None:
        while not self._end.is_set():
            with contextlib.suppress(OSError), Line(self._port, seconds=2) as line:
                self.statuses.add(line.send(create_request("hangs")).answer().status)


def _health(service: Service) -> httpx.Response:
    return httpx.get(f"{service.url}/healthz", timeout=TIMEOUT)


def _lives(service: Service) -> bool:
    return httpx.get(f"{service.url}/livez", timeout=TIMEOUT).status_code == 200


def _works(service: Service) -> bool:
    """Return whether a run of creates, which different processes answer, succeeds."""
    statuses = [exchange(service.port, create_request("again")).status for _ in range(10)]
    print(f"after the database is back: {statuses}")
    return set(statuses) == {201}


def _all_unhealthy(service: Service) -> bool:
    """Return whether a run of probes, which different processes answer, finds it unhealthy."""
    return all(_health(service).status_code == 503 for _ in range(12))


def _assert_unhealthy(service: Service) -> None:
    answer = _health(service)
    assert (answer.status_code, answer.json()) == (503, UNHEALTHY)
    assert _lives(service)


@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_frozen_database(
    make_service: MakeService, own_postgresql: RestartablePostgresql, processes: str
) -> None:
    url = own_postgresql.new_database()
    service = make_service(DATABASE_URL=url, redis=True, WEB_CONCURRENCY=processes)
    share = create(service.port, "before")
    own_postgresql.freeze()
    with _Hanging(service.port) as hanging:
        wait_until(lambda: _all_unhealthy(service), "processes that all know")
        wait_until(lambda: 503 in hanging.statuses, "requests refused for want of a place")
        for _ in range(15):
            _assert_unhealthy(service)
    assert hanging.statuses == {503}
    own_postgresql.thaw()
    service.wait_until_well()
    wait_until(lambda: _works(service), "a working service")
    assert open_share(service.port, share).json()["content"] == "before"


def test_attempts_to_connect_are_not_kept(
    make_service: MakeService, own_postgresql: RestartablePostgresql
) -> None:
    """Each attempt that timed out is closed; else they take all of a database's places at once
    as soon as it is back, and keep them.
    """
    threads = 16
    url = own_postgresql.new_database()
    service = make_service(DATABASE_URL=url, WEB_THREADS=str(threads))
    own_postgresql.freeze()
    with _Hanging(service.port):
        timed_out = threads // 2 * 4  # four times all that may wait for the database
        failed = "the database failed"
        wait_until(lambda: service.logged().count(failed) >= timed_out, "attempts that time out")
        (worker,) = service.workers()
        held = len(worker.net_connections(kind="unix"))
    own_postgresql.thaw()
    assert held <= threads // 2 + 3, "one for each that may wait, and the health probe's"
    wait_until(lambda: _works(service), "a working service")


def test_a_stopped_database(
    make_service: MakeService, own_postgresql: RestartablePostgresql
) -> None:
    service = make_service(
        DATABASE_URL=own_postgresql.new_database(), redis=True, WEB_CONCURRENCY="3"
    )
    shares = [create(service.port, f"before {n}") for n in range(20)]
    own_postgresql.stop()
    for share in shares:
        for data in (open_request(share), create_request("never"), delete_request(share)):
            answer = exchange(service.port, data)
            assert (answer.status, answer.json()) == (503, {"error": "Database unavailable"})
            assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: _all_unhealthy(service), "processes that all know")
    _assert_unhealthy(service)
    own_postgresql.start()
    service.wait_until_well()
    wait_until(lambda: _works(service), "a working service")
    for share in shares:
        assert open_share(service.port, share).json()["content"] == share.content
    assert service.tracebacks() == []


def test_a_restart_of_the_database_between_two_requests(
    make_service: MakeService, own_postgresql: RestartablePostgresql
) -> None:
    """Connections that the server closed are replaced; no request pays for them for long."""
    service = make_service(DATABASE_URL=own_postgresql.new_database())
    share = create(service.port, "before")
    own_postgresql.stop()
    own_postgresql.start()
    wait_until(lambda: _works(service), "a working service")
    assert open_share(service.port, share).json()["content"] == "before"


def test_a_keyring_file_that_is_gone(make_service: MakeService, any_database: str) -> None:
    """Balancers go on, because all works; whoever looks after it is told before a restart."""
    service = make_service(any_database, redis=True, WEB_CONCURRENCY="2")
    share, keyring = create(service.port, "before"), service.home / "keyring"
    wait_until(lambda: _all_say(service, None), "both processes")
    elsewhere = keyring.rename(service.home / "elsewhere")
    wait_until(lambda: _all_say(service, KEYRING), "both processes' finding")
    assert httpx.get(f"{service.url}/readyz", timeout=TIMEOUT).status_code == 200
    assert open_share(service.port, share).json()["content"] == "before"
    elsewhere.rename(keyring)
    wait_until(lambda: _all_say(service, None), "both processes' recovery")


def _all_say(service: Service, error: str | None) -> bool:
    """Return whether a run of probes, which different processes answer, says that."""
    return {_health(service).json().get("error") for _ in range(12)} == {error}
