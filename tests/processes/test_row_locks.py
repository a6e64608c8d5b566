"""A row that a session of psql has locked: its own trouble, and an answer within seconds."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.keeping import keeper
from tests.support.clients.sharing import create, delete_request, open_request, open_share
from tests.support.clients.wire import Answer, Line, exchange
from tests.support.load.crowd import Crowd
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service

IMPATIENT = 40
#: What at most the threads of one process are that wait for one row.
WAITING = 2
BEING_CHANGED = {"error": "It is being changed by somebody else just now, try again"}

_SECRET = "repositories_app_repositorysecret"
_REPOSITORY = "repositories_app_repository"
_WAITERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@contextlib.contextmanager
def locked(service: Service, table: str, where: str = "true") -> Iterator[None]:
    """Hold a lock on rows, as a session of psql in a transaction does."""
    with psycopg.connect(service.settings["DATABASE_URL"]) as session:
        rows = session.execute(f"SELECT FROM {table} WHERE {where} FOR UPDATE".encode())
        assert rows.rowcount > 0
        yield


class Impatient(Crowd):
    """Clients that send a request, hang up after half a second without an answer, and repeat it."""

    def __init__(self, port: int, requests: list[bytes]) -> None:
        super().__init__(IMPATIENT)
        self._port, self._requests = port, requests
        self.statuses: set[int] = set()

    def _run(self, number: int) -> None:
        request = self._requests[number % len(self._requests)]
        while not self._end.is_set():
            with Line(self._port, seconds=0.5) as line, contextlib.suppress(TimeoutError):
                self.statuses.add(line.send(request).answer().status)


class Waiters(Crowd):
    """Counts, over and over, how many sessions wait for a lock."""

    def __init__(self, service: Service) -> None:
        super().__init__(1)
        self._service, self.most = service, 0

    def _run(self, number: int) -> None:
        with psycopg.connect(self._service.settings["DATABASE_URL"], autocommit=True) as session:
            while not self._end.is_set():
                ((waiting,),) = session.execute(_WAITERS.encode()).fetchall()
                self.most = max(self.most, waiting)
                self.done += 1


def assert_refused(answer: Answer) -> None:
    assert (answer.status, answer.json()) == (503, BEING_CHANGED)
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize("store", ["database", "kubernetes"])
@pytest.mark.parametrize("threads", [4, 16])
def test_one_locked_row_leaves_all_others_alone(
    make_service: MakeService, store: str, threads: int
) -> None:
    service = make_service("postgresql", store=store, WEB_THREADS=str(threads))
    keep, other = keeper(service), keeper(service, "other", "bob")
    assert keep.set("locked", "before").status == 201
    with locked(service, _SECRET), Waiters(service) as waiters:
        with Impatient(keep.port, [keep.set_request("locked", "x")]) as impatient:
            wait_until(lambda: 503 in impatient.statuses, "the first refusals")
            for number in range(30):
                assert other.set(f"k{number}", "mine").status == 201
                assert keep.set(f"k{number}", "mine").status == 201
                assert keep.read("locked").json() == {"secret_value": "before"}
                assert exchange(service.port, b"GET /healthz HTTP/1.0\r\n\r\n").status == 200
            assert impatient.statuses == {503}
        assert_refused(keep.set("locked", "meanwhile"))
        assert_refused(keep.remove("locked"))
        assert 0 < waiters.most <= WAITING
    wait_until(lambda: keep.set("locked", "after").status == 201, "the lock's end")
    assert keep.read("locked").json() == {"secret_value": "after"}
    assert stored.values(service) == stored.count(service, _SECRET), "no value is left over"


def test_a_locked_repository_leaves_the_others_alone(make_service: MakeService) -> None:
    """New rows refer to it, so that each of them waits."""
    service = make_service("postgresql")
    keep, other = keeper(service), keeper(service, "other", "bob")
    with locked(service, _REPOSITORY, "name = 'repo'"), Waiters(service) as waiters:
        new = [keep.set_request(f"k{number}", "x") for number in range(IMPATIENT)]
        with Impatient(keep.port, new) as impatient:
            wait_until(lambda: 503 in impatient.statuses, "the first refusals")
            for number in range(30):
                assert other.set(f"k{number}", "mine").status == 201
        assert_refused(keep.set("new", "x"))
        assert 0 < waiters.most < 8, "fewer than half of the sixteen threads"
    wait_until(lambda: keep.set("new", "x").status == 201, "the lock's end")


def test_a_locked_share_is_opened_later_and_others_meanwhile(make_service: MakeService) -> None:
    service = make_service("postgresql")
    share = create(service.port, "locked")
    where = f"id = {_first_share(service)}"
    with locked(service, "secrets_app_share", where), Waiters(service) as waiters:
        with Impatient(service.port, [open_request(share)]) as impatient:
            wait_until(lambda: 503 in impatient.statuses, "the first refusals")
            for _ in range(30):
                assert open_share(service.port, create(service.port)).status == 200
            assert impatient.statuses == {503}
        assert_refused(open_share(service.port, share))
        assert_refused(exchange(service.port, delete_request(share)))
        assert 0 < waiters.most <= WAITING
        wait_until(lambda: not stored.query(service, _WAITERS)[0][0], "the end of the waits")
    assert open_share(service.port, share).json()["content"] == "locked"
    assert open_share(service.port, share).status == 404


def _first_share(service: Service) -> int:
    return int(stored.query(service, "SELECT min(id) FROM secrets_app_share")[0][0])


def test_a_locked_token_works(make_service: MakeService) -> None:
    """That it was used is recorded later."""
    service = make_service("postgresql")
    keep = keeper(service)
    used = "SELECT last_used_at FROM repositories_app_accesstoken"
    with locked(service, "repositories_app_accesstoken"), Waiters(service) as waiters:
        assert keep.set("key", "value").status == 201
        waiters.await_more(1)
        assert waiters.most == 0
        assert stored.query(service, used) == [(None,)]
    assert keep.read("key").status == 200
    assert stored.query(service, used) != [(None,)]


def test_a_locked_row_is_waited_for_where_the_lock_ends_soon(make_service: MakeService) -> None:
    service = make_service("postgresql")
    keep = keeper(service)
    keep.set("key", "before")
    answers: list[Answer] = []
    setter = threading.Thread(target=lambda: answers.append(keep.set("key", "after")))
    with locked(service, _SECRET):
        setter.start()
        wait_until(lambda: stored.query(service, _WAITERS)[0][0] == 1, "one who waits", seconds=2)
    setter.join()
    assert [answer.status for answer in answers] == [201]


def test_the_limit_belongs_to_the_role_in_its_database(make_service: MakeService) -> None:
    service = make_service("postgresql", start=False)
    service.manage("prepare")
    assert stored.query(service, "SHOW lock_timeout") == [("2s",)]
    service.manage("prepare")
    other = make_service("postgresql", start=False)
    assert stored.query(other, "SHOW lock_timeout") == [("0",)]


def test_a_limit_that_an_operator_set_stays(make_service: MakeService) -> None:
    service = make_service("postgresql", start=False)
    ((name,),) = stored.query(service, "SELECT current_database()")
    stored.query(service, f"ALTER DATABASE \"{name}\" SET lock_timeout = '7s'")
    service.manage("prepare")
    assert stored.query(service, "SHOW lock_timeout") == [("7s",)]


def test_a_migration_that_meets_a_lock_says_so(make_service: MakeService) -> None:
    service = make_service("postgresql", start=False)
    service.manage("prepare")
    service.manage("migrate", "secrets_app", "0001")
    stored.query(
        service, "INSERT INTO django_migrations (app, name, applied) SELECT 'x', 'y', now()"
    )
    with psycopg.connect(service.settings["DATABASE_URL"]) as session:
        session.execute("LOCK TABLE secrets_app_idempotentresponse IN ACCESS SHARE MODE")
        ended = service.manage("prepare", check=False)
    assert ended.returncode == 1
    assert "another session" in ended.stderr
    assert "Traceback" not in ended.stderr
    service.manage("prepare")
    assert service.manage("prepare", "--check-only").returncode == 0
