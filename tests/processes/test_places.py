"""Whatever hangs, and whoever is slow: what needs none of it is answered meanwhile."""

import contextlib
import re
import select
import socket
from collections.abc import Iterator

import pytest

from fugata_core.limits import FIRST_PART, KEY_SERVICES, LARGE_BODIES, READERS
from tests.conftest import MakeService
from tests.support.clients.keeping import keeper
from tests.support.clients.sharing import (
    Share,
    create,
    create_request,
    delete_request,
    open_request,
    open_share,
)
from tests.support.clients.wire import Answer, Line, exchange, request
from tests.support.faults.frozen_transit import FreezableTransit
from tests.support.load.crowd import Crowd
from tests.support.servers.parts import wait_until
from tests.support.servers.restartable import RestartablePostgresql
from tests.support.servers.service import Service
from tests.support.servers.transit import TOKEN

#: Clients with a request in flight: more than threads.
MANY = 24
#: Seconds: a person's patience, and far less than what hangs here.
PATIENCE = 10.0
MIB = 2**20
OVERLOADED = {"error": "Service is overloaded, try again"}
SCRAPER = "a-token-of-the-scraper"


@pytest.fixture
def vault() -> Iterator[FreezableTransit]:
    """A key service that the test may freeze."""
    with FreezableTransit("one") as server:
        yield server


@pytest.fixture
def own_postgresql() -> Iterator[RestartablePostgresql]:
    """A PostgreSQL server that the test may freeze."""
    server = RestartablePostgresql()
    yield server
    server.thaw()
    server.close()


def _vaulted(
    make_service: MakeService, vault: FreezableTransit, threads: int, database: str = ""
) -> Service:
    """Return a service whose keys are in that Vault."""
    service = make_service(start=False, TRUSTED_PROXIES="127.0.0.1", METRICS_TOKEN=SCRAPER)
    access = {"VAULT_ADDR": vault.url, "VAULT_TOKEN": TOKEN, "VAULT_TRANSIT_KEY": "one"}
    service.settings |= access | {"KMS_PROVIDER": "vault", "WEB_THREADS": str(threads)}
    service.settings |= {"DATABASE_URL": database} if database else {}
    return service.start()


class Persistent(Crowd):
    """Clients that repeat a request a moment after it is answered, whatever the answer."""

    def __init__(self, port: int, asked: bytes) -> None:
        super().__init__(MANY)
        self._port, self._asked = port, asked
        self.answers: list[Answer] = []

    def _run(self, number: int) -> None:
        while not self._end.wait(0.1):
            with Line(self._port, PATIENCE) as line, contextlib.suppress(TimeoutError):
                self.answers.append(line.send(self._asked).answer("POST"))

    def refused(self) -> int:
        """Return how many found no place so far."""
        return sum(answer.status == 503 for answer in self.answers)


def _ask(service: Service, asked: bytes) -> Answer:
    """Ask as somebody does who gives up after a while."""
    with Line(service.port, PATIENCE) as line:
        return line.send(asked).answer()


@pytest.mark.parametrize("threads", [4, 16])
def test_a_key_service_that_hangs_leaves_what_needs_no_key_alone(
    make_service: MakeService, vault: FreezableTransit, threads: int
) -> None:
    service = _vaulted(make_service, vault, threads)
    keep = keeper(service)
    keep.set("key", "value")
    kept, *shares = (create(service.port, f"before {number}") for number in range(11))
    vault.freeze()
    with Persistent(service.port, create_request("hangs")) as creates:
        wait_until(lambda: vault.hanging >= KEY_SERVICES.places(threads), "calls that hang")
        for share in shares:
            assert _ask(service, keep.request("GET")).json() == ["key"]
            assert _ask(service, request("GET", "/")).status == 200
            assert _ask(service, delete_request(share)).status == 200
        wait_until(lambda: creates.refused() > MANY, "creates that find no place")
        assert open_share(service.port, kept).status in (500, 503)
    _assert_failed(creates.answers)
    vault.thaw()
    _assert_as_before(service, kept)
    assert keep.read("key").json() == {"secret_value": "value"}


def _assert_failed(answers: list[Answer]) -> None:
    """Each was told within its client's patience, and when to come again."""
    assert {answer.status for answer in answers} <= {500, 503}
    for answer in answers:
        if answer.status == 503:
            assert answer.json() == OVERLOADED
            assert int(answer.headers["retry-after"]) > 0


def _assert_as_before(service: Service, kept: Share) -> None:
    service.wait_until_well()
    assert open_share(service.port, kept).json()["content"] == kept.content
    for _ in range(20):
        assert open_share(service.port, create(service.port)).status == 200
    assert service.tracebacks() == []


# --- All places at once --------------------------------------------------------------------------


@contextlib.contextmanager
def _clients(service: Service, asked: list[bytes]) -> Iterator[list[socket.socket]]:
    """Clients that have sent something, and do nothing more."""
    with contextlib.ExitStack() as stack:
        clients = []
        for data in asked:
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", service.port))
            client.sendall(data)
            clients.append(client)
        yield clients


def _half_of_large_bodies(count: int) -> list[bytes]:
    """Each from another client, for none may have all places."""
    head, body = create_request("l" * (MIB // 2)).split(b"\r\n\r\n", 1)
    begun = b"\r\n\r\n" + body[: FIRST_PART + 1000]
    return [head + b"\r\nX-Forwarded-For: 192.0.2.%d" % number + begun for number in range(count)]


def _places_found(service: Service, limit: str) -> int:
    """Return how many requests found a place of that limit, or waited in vain, so far."""
    page = exchange(service.port, request("GET", "/metrics", authorization=f"Bearer {SCRAPER}"))
    count = re.search(rb'place_wait_seconds_count{limit="%s"} (\d+)' % limit.encode(), page.body)
    return int(count[1]) if count else 0


@pytest.mark.parametrize("threads", [4, 16])
def test_all_places_are_full_and_what_needs_none_is_answered(
    make_service: MakeService,
    own_postgresql: RestartablePostgresql,
    vault: FreezableTransit,
    threads: int,
) -> None:
    service = _vaulted(make_service, vault, threads, own_postgresql.new_database())
    keep = keeper(service)
    large = create(service.port, "large" * 2 * MIB, one_time=False)
    kept = create(service.port, "before")
    bodies = _half_of_large_bodies(LARGE_BODIES.places(threads))
    readers = [open_request(large)] * READERS.places(threads)
    admitted = _places_found(service, "large_bodies") + len(bodies)
    with _clients(service, readers) as reading, _clients(service, bodies) as sending:
        for client in reading:
            assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        wait_until(lambda: _places_found(service, "large_bodies") >= admitted, "large bodies")
        vault.freeze()
        with Persistent(service.port, create_request("hangs")):
            wait_until(lambda: vault.hanging >= KEY_SERVICES.places(threads), "calls that hang")
            own_postgresql.freeze()
            with Persistent(service.port, keep.request("GET")) as lists:
                wait_until(lambda: lists.refused() > MANY, "refusals, for all hangs")
                _assert_the_rest_answers(service)
                assert not any(map(_is_reset, reading)), "slow readers hold their places"
                assert not any(map(_is_answered, sending)), "so do slow senders"
                own_postgresql.thaw()
        vault.thaw()
        _assert_as_before(service, kept)


def _assert_the_rest_answers(service: Service) -> None:
    for _ in range(3):
        for path, status in (("/", 200), ("/docs", 200), ("/nowhere", 404), ("/livez", 200)):
            assert _ask(service, request("GET", path)).status == status, path
        assert _ask(service, request("GET", "/healthz")).status in (200, 503), "as the probe says"


def _is_reset(client: socket.socket) -> bool:
    """Return whether the connection is gone, though what came before can still be read."""
    return bool(_events(client, 0))


def _is_answered(client: socket.socket) -> bool:
    """Return whether there is something to read, or an end."""
    return bool(_events(client, select.POLLIN))


def _events(client: socket.socket, wanted: int) -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(client, wanted)
    return poll.poll(0)
