"""A row that a session of psql has locked: its own trouble, and an answer within seconds."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from fugata_core.failing_requests import MAX_FAILED
from fugata_core.limits import BACKENDS, REFERENCES
from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.keeping import keeper
from tests.support.clients.sharing import (
    create,
    create_request,
    delete_request,
    open_request,
    open_share,
)
from tests.support.clients.wire import Answer, Line, exchange, request, volley
from tests.support.load.crowd import Crowd
from tests.support.servers.parts import PostgresqlServer, wait_until
from tests.support.servers.service import Service

IMPATIENT = 40
#: What at most the threads of one process are that wait for one row.
WAITING = 2
BEING_CHANGED = {"error": "It is being changed by somebody else just now, try again"}

_SECRET = "repositories_app_repositorysecret"
_REFERENCES = "repositories_app_repository"
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

    def __init__(self, port: int, requests: list[bytes], count: int = IMPATIENT) -> None:
        super().__init__(count)
        self._port, self._requests = port, requests
        self.answers: list[Answer] = []

    def _run(self, number: int) -> None:
        asked = self._requests[number % len(self._requests)]
        while not self._end.is_set():
            with Line(self._port, seconds=0.5) as line, contextlib.suppress(TimeoutError):
                self.answers.append(line.send(asked).answer())


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


def assert_all_refused(impatient: Impatient) -> None:
    for answer in impatient.answers:
        assert_refused(answer)


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
            wait_until(lambda: bool(impatient.answers), "the first refusals")
            for number in range(30):
                assert other.set(f"k{number}", "mine").status == 201
                assert keep.set(f"k{number}", "mine").status == 201
                assert keep.read("locked").json() == {"secret_value": "before"}
                assert exchange(service.port, b"GET /healthz HTTP/1.0\r\n\r\n").status == 200
        assert_all_refused(impatient)
        assert_refused(keep.set("locked", "meanwhile"))
        assert_refused(keep.remove("locked"))
        assert 0 < waiters.most <= WAITING
    wait_until(lambda: keep.set("locked", "after").status == 201, "the lock's end")
    assert keep.read("locked").json() == {"secret_value": "after"}
    assert stored.values(service) == stored.count(service, _SECRET), "no value is left over"


@pytest.mark.parametrize("threads", [4, 8, 16])
def test_a_locked_row_leaves_a_crowd_on_its_neighbours_alone(
    make_service: MakeService, threads: int, rounds: int
) -> None:
    service = make_service("postgresql", WEB_THREADS=str(threads))
    keep = keeper(service)
    keep.set("locked", "before")
    with locked(service, _SECRET), Impatient(keep.port, [keep.set_request("locked", "x")]) as crowd:
        wait_until(lambda: bool(crowd.answers), "the first refusals")
        for _ in range(rounds):
            others = [keep.set_request(f"k{number}", "mine") for number in range(10)]
            assert {answer.status for answer in volley(keep.port, others)} == {201}


@pytest.mark.parametrize("threads", [4, 16])
def test_a_locked_repository_leaves_the_others_alone(
    make_service: MakeService, threads: int
) -> None:
    """New rows refer to it, so that each of them waits."""
    service = make_service("postgresql", WEB_THREADS=str(threads))
    keep, other = keeper(service), keeper(service, "other", "bob")
    with locked(service, _REFERENCES, "name = 'repo'"), Waiters(service) as waiters:
        new = [keep.set_request(f"k{number}", "x") for number in range(IMPATIENT)]
        with Impatient(keep.port, new) as impatient:
            wait_until(lambda: bool(impatient.answers), "the first refusals")
            for number in range(30):
                assert other.set(f"k{number}", "mine").status == 201
        assert_all_refused(impatient)
        assert_refused(keep.set("new", "x"))
        assert 0 < waiters.most <= REFERENCES.places(threads)
    wait_until(lambda: keep.set("new", "x").status == 201, "the lock's end")
    assert stored.values(service) == stored.count(service, _SECRET), "no value is left over"


def test_a_locked_share_is_opened_later_and_others_meanwhile(make_service: MakeService) -> None:
    service = make_service("postgresql")
    share = create(service.port, "locked")
    where = f"id = {_first_share(service)}"
    with locked(service, "secrets_app_share", where), Waiters(service) as waiters:
        with Impatient(service.port, [open_request(share)]) as impatient:
            wait_until(lambda: bool(impatient.answers), "the first refusals")
            for _ in range(30):
                assert open_share(service.port, create(service.port)).status == 200
        assert_all_refused(impatient)
        assert_refused(open_share(service.port, share))
        assert_refused(exchange(service.port, delete_request(share)))
        assert 0 < waiters.most <= WAITING
        wait_until(lambda: not stored.query(service, _WAITERS)[0][0], "the end of the waits")
    assert open_share(service.port, share).json()["content"] == "locked"
    assert open_share(service.port, share).status == 404


def _first_share(service: Service) -> int:
    return int(stored.query(service, "SELECT min(id) FROM secrets_app_share")[0][0])


_SIGN_IN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("olga"))
print(client.cookies.output(attrs=[], header="", sep=";"))
"""


def sign_in(service: Service) -> str:
    """Sign an operator in and return the browser's cookies."""
    return service.manage("shell", "-v", "0", "-c", _SIGN_IN).stdout.strip()


@dataclass
class Wanted:
    """A row that a crowd wants, and their request."""

    table: str
    request: bytes
    crowd: int = IMPATIENT


def _key_row(service: Service) -> Wanted:
    """Each new share refers to the key's row."""
    return Wanted("vault_app_keyencryptionkey", create_request("content"))


def _kept_answer(service: Service) -> Wanted:
    """The answer that a reader acknowledges."""
    path, key = f"/secrets/{create(service.port).id}", "k" * 22
    assert exchange(service.port, request("GET", path, idempotency_key=key)).status == 200
    acknowledging = request("DELETE", path, idempotency_key=key)
    return Wanted("secrets_app_idempotentresponse", acknowledging)


def _refusals(service: Service) -> Wanted:
    """The count of this minute, of which there is one for a client."""
    guess = request("GET", "/repositories/repo/secrets", authorization="Bearer none")
    assert exchange(service.port, guess).status == 401
    soon = "SELECT address_hash, minute + later, 1 FROM {0}, generate_series(1, 9) later"
    table = "audit_app_refusalcount"
    stored.query(service, f"INSERT INTO {table} (address_hash, minute, count) {soon.format(table)}")
    return Wanted(table, guess)


def _lookups(service: Service) -> Wanted:
    """The count of this minute, of which there is one for a token and repository."""
    asked = keeper(service, "asked", "carol").request("GET")
    assert exchange(service.port, asked).status == 200
    table, columns = "audit_app_lookupcount", "username, token, address_hash, repository, count"
    soon = f"SELECT minute + later, {columns} FROM {table}, generate_series(1, 9) later"
    stored.query(service, f"INSERT INTO {table} (minute, {columns}) {soon}")
    return Wanted(table, asked, crowd=10)


def _session(service: Service) -> Wanted:
    """The session of one operator's many tabs."""
    cookie = sign_in(service)
    return Wanted("django_session", request("GET", "/admin/jsi18n/", cookie=cookie), crowd=10)


def _has_no_other_value(service: Service) -> bool:
    """Return whether each value has a row; the requests of clients that hung up go on a while."""
    rows = stored.count(service, _SECRET) + stored.count(service, "secrets_app_share")
    return stored.values(service) == rows


@pytest.mark.parametrize("wanted_by", [_key_row, _kept_answer, _refusals, _lookups, _session])
@pytest.mark.parametrize("threads", [4, 16])
def test_any_row_that_a_crowd_wants_leaves_others_alone(
    make_service: MakeService, wanted_by: Callable[[Service], Wanted], threads: int
) -> None:
    service = make_service("postgresql", store="kubernetes", WEB_THREADS=str(threads))
    keep = keeper(service)
    keep.set("key", "value")
    shares = [create(service.port) for _ in range(10)]
    wanted = wanted_by(service)
    with locked(service, wanted.table), Waiters(service) as waiters:
        with Impatient(service.port, [wanted.request], wanted.crowd) as impatient:
            wait_until(lambda: bool(impatient.answers), "the first refusals")
            for share in shares:
                assert open_share(service.port, share).status == 200
                assert keep.read("key").status == 200
                assert exchange(service.port, request("GET", "/")).status == 200
        assert {answer.status for answer in impatient.answers} == {503}
        assert 0 < waiters.most < BACKENDS.places(threads)
        wait_until(lambda: not stored.query(service, _WAITERS)[0][0], "the end of the waits")
    wait_until(lambda: _has_no_other_value(service), "the deletion of what was kept in vain")


@pytest.mark.parametrize("table", ["auth_user", "django_session"])
def test_a_locked_table_is_said_in_the_console_too(make_service: MakeService, table: str) -> None:
    """By a page that does not need the table either."""
    service = make_service("postgresql")
    cookie = sign_in(service)
    with psycopg.connect(service.settings["DATABASE_URL"]) as session:
        session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        asked = request("GET", "/admin/", cookie=cookie, accept="text/html")
        answer = exchange(service.port, asked)
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert b"Somebody else is changing this" in answer.body


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


def test_a_locked_row_is_waited_for_where_the_lock_ends_in_time(make_service: MakeService) -> None:
    service = make_service("postgresql", start=False)
    choose(service, "30s")
    service.start()
    keep = keeper(service)
    keep.set("key", "before")
    answers: list[Answer] = []
    setter = threading.Thread(target=lambda: answers.append(keep.set("key", "after")))
    with locked(service, _SECRET):
        setter.start()
        wait_until(lambda: stored.query(service, _WAITERS)[0][0] == 1, "one who waits")
    setter.join()
    assert [answer.status for answer in answers] == [201]


def test_a_database_of_sqlite_that_is_locked(make_service: MakeService) -> None:
    """Nothing is wrong with it: who asks again is served."""
    service = make_service(start=False)
    path = service.home / "fugata.sqlite3"
    service.settings["DATABASE_URL"] = f"sqlite:///{path}?timeout=1"
    service.start()
    with contextlib.closing(sqlite3.connect(path)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for _ in range(MAX_FAILED):
            answer = exchange(service.port, create_request("x"))
            assert (answer.status, answer.json()) == (503, BEING_CHANGED)
            assert "retry-after" in answer.headers
    assert exchange(service.port, create_request("x")).status == 201
    assert "the database failed: " not in service.logged()


def unset(service: Service) -> None:
    """Take the limit away again."""
    ((name,),) = stored.query(service, "SELECT current_database()")
    stored.query(service, f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" RESET lock_timeout')


def choose(service: Service, limit: str, setting: str = "lock_timeout") -> None:
    """Choose a limit for the database, as an operator may."""
    ((name,),) = stored.query(service, "SELECT current_database()")
    stored.query(service, f"ALTER DATABASE \"{name}\" SET {setting} = '{limit}'")


def test_the_limit_belongs_to_the_role_in_its_database(make_service: MakeService) -> None:
    service = make_service("postgresql", start=False)
    service.manage("prepare")
    assert stored.query(service, "SHOW lock_timeout") == [("2s",)]
    service.manage("prepare")
    other = make_service("postgresql", start=False)
    assert stored.query(other, "SHOW lock_timeout") == [("0",)]


@pytest.mark.parametrize("setting", ["lock_timeout", "client_connection_check_interval"])
@pytest.mark.parametrize("limit", ["7s", "0"])
def test_a_limit_that_an_operator_chose_stays(
    make_service: MakeService, limit: str, setting: str
) -> None:
    service = make_service("postgresql", start=False)
    choose(service, limit, setting)
    service.manage("prepare")
    assert stored.query(service, f"SHOW {setting}") == [(limit,)]


def test_a_database_may_have_any_name(
    make_service: MakeService, postgresql: PostgresqlServer
) -> None:
    plain, name = postgresql.new_database(), 'odd "%s; name'
    with psycopg.connect(plain, autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = urlunsplit(urlsplit(plain)._replace(path=f"/{quote(name)}"))
    service = make_service(start=False, DATABASE_URL=url)
    service.manage("prepare")
    assert stored.query(service, "SHOW lock_timeout") == [("2s",)]


def test_a_migration_that_meets_a_lock_says_so(make_service: MakeService) -> None:
    service = make_service("postgresql", start=False)
    service.manage("prepare")
    service.manage("migrate", "secrets_app", "0001")
    unset(service)  # as before the first preparation by this version
    with psycopg.connect(service.settings["DATABASE_URL"]) as session:
        session.execute("LOCK TABLE secrets_app_idempotentresponse IN ACCESS SHARE MODE")
        ended = service.manage("prepare", check=False)
    assert ended.returncode == 1
    assert "Another session" in ended.stderr
    assert "Traceback" not in ended.stderr
    service.manage("prepare")
    assert service.manage("prepare", "--check-only").returncode == 0
