"""Everything by way of PgBouncer, which gives each transaction another session of PostgreSQL."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from fugata_server.processes import PREPARED, WEB
from tests.conftest import MakeService, Require
from tests.processes.test_prepare import prepare_at_once
from tests.support.clients.keeping import Keeper, keeper
from tests.support.clients.sharing import acknowledged, create_request, delete_request, open_request
from tests.support.clients.wire import exchange
from tests.support.load.crowd import Crowd
from tests.support.servers.installation import KEYS, TASKS, send_task
from tests.support.servers.parts import PostgresqlServer, wait_until
from tests.support.servers.pgbouncer import SESSIONS, PgBouncer, pgbouncer
from tests.support.servers.service import Service, running

#: Whatever the database's own setting is.
WRITING = "-c default_transaction_read_only=off"
#: More than PgBouncer has sessions, so that each client's statements meet different ones; and the
#: seconds that each leaves to the commands between its rounds.
CLIENTS, PAUSE = 5, 0.1
GOOD = {
    ("create", 201), ("open", 200), ("delete", 200), ("set", 201), ("read", 200), ("list", 200),
    ("remove", 204), ("again", 404),
}  # fmt: skip


@pytest.fixture
def pooler(require: Require, postgresql: PostgresqlServer) -> Iterator[PgBouncer]:
    """PgBouncer in front of the run's server."""
    require("PgBouncer (Debian: apt install pgbouncer)", pgbouncer())
    made = PgBouncer(postgresql)
    yield made
    made.close()


@pytest.fixture
def impatient(require: Require, postgresql: PostgresqlServer) -> Iterator[PgBouncer]:
    """One that has each statement wait for a session for a second at most."""
    require("PgBouncer (Debian: apt install pgbouncer)", pgbouncer())
    made = PgBouncer(postgresql, "query_wait_timeout = 1")
    yield made
    made.close()


@pytest.fixture
def direct(postgresql: PostgresqlServer) -> str:
    """The URL of a new database, past PgBouncer. In its time zone, which each session changes."""
    url = postgresql.new_database()
    choose(url, "SET timezone = 'Asia/Tokyo'")
    return url


def choose(url: str, setting: str) -> None:
    """Set or reset something for all sessions of the database from now on, and end the others."""
    name = urlsplit(url).path[1:]
    execute(url, f'ALTER DATABASE "{name}" {setting}')
    execute(url, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                 " WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True, options=WRITING) as session:
        cursor = session.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


class Clients(Crowd):
    """Share, open and delete, set, read, list and remove, each thread its own."""

    def __init__(self, service: Service, keep: Keeper) -> None:
        super().__init__(CLIENTS)
        self._port, self._keep = service.port, keep
        self.answers: Counter[tuple[str, int]] = Counter()

    def _run(self, number: int) -> None:
        while not self._end.is_set():
            self._share()
            self._keep_one(f"key-{number}")
            self.done += 1
            self._end.wait(PAUSE)

    def _ask(self, what: str, data: bytes) -> None:
        self._count(what, exchange(self._port, data).status)

    def _count(self, what: str, status: int) -> None:
        with self._lock:
            self.answers[what, status] += 1

    def _share(self) -> None:
        for what, act in (("open", open_request), ("delete", delete_request)):
            made = exchange(self._port, create_request("through a pool"))
            self._count("create", made.status)
            if made.status == 201:
                share = acknowledged(made, "through a pool")
                self._ask(what, act(share))
                self._ask("again", open_request(share))

    def _keep_one(self, key: str) -> None:
        self._ask("set", self._keep.set_request(key, "value"))
        self._ask("read", self._keep.request("GET", key))
        self._ask("list", self._keep.request("GET"))
        self._ask("remove", self._keep.request("DELETE", key))


def test_all_of_it_through_few_sessions(
    make_service: MakeService, pooler: PgBouncer, direct: str, tmp_path: Path
) -> None:
    url = pooler.url(direct, "prepare_threshold=none")
    service = make_service(DATABASE_URL=url, redis=True, WEB_CONCURRENCY="2", start=False)
    service.manage("prepare")
    assert execute(direct, "SHOW lock_timeout") == [("2s",)]
    service.start()
    with Clients(service, keeper(service)) as clients:
        clients.await_more(20)
        run_commands(service, tmp_path)
        run_tasks(service, direct)
        clients.await_more(20)
    assert set(clients.answers) == GOOD
    service.manage("fsck")
    assert service.tracebacks() == []
    assert " failed: " not in service.logged()


def test_several_prepare_at_once(make_service: MakeService, pooler: PgBouncer, direct: str) -> None:
    """More of them than PgBouncer has sessions: those who wait for their turn occupy none."""
    url = pooler.url(direct, "prepare_threshold=none")
    services = [make_service(DATABASE_URL=url, FUGATA_KEYS=KEYS, start=False) for _ in range(4)]
    for ended in prepare_at_once(services):
        assert ended.returncode == 0, ended.stderr


def test_a_turn_that_pgbouncer_will_not_wait_for(
    make_service: MakeService, impatient: PgBouncer, direct: str
) -> None:
    """Whose turn it is may occupy all sessions for longer than PgBouncer lets others wait."""
    url = impatient.url(direct, "prepare_threshold=none")
    service = make_service(DATABASE_URL=url, start=False)
    with ExitStack() as occupied, ThreadPoolExecutor(1) as pool:
        for _ in range(SESSIONS):
            occupied.enter_context(psycopg.connect(impatient.url(direct, ""))).execute("SELECT 1")
        prepared = pool.submit(service.manage, "prepare", check=False)
        refusal = "pooler error: query_wait_timeout"
        wait_until(lambda: impatient.logged().count(refusal) > 1, "two refusals")
        occupied.close()
        ended = prepared.result()
    assert ended.returncode == 0, ended.stderr


def run_commands(service: Service, folder: Path) -> None:
    """Run what reads all rows, one after the other, in the midst of all else."""
    service.manage("audit", "seal")
    service.manage("audit", "verify")
    service.manage("audit", "export")
    service.manage("backup", "--force", str(folder / "backup"))
    service.manage("rotate_key")
    service.manage("rewrap_keys")
    ended = service.manage("fsck", check=False)
    assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr


def run_tasks(service: Service, direct: str) -> None:
    """Have the worker do each of its tasks."""
    execute(direct, "DELETE FROM operations_app_tasksuccess")
    for name in TASKS:
        send_task(service.settings["REDIS_URL"], name)
    done = "SELECT task FROM operations_app_tasksuccess"
    wait_until(
        lambda: {name for (name,) in execute(direct, done)} == set(TASKS), "each", seconds=90
    )


def test_a_server_that_could_only_be_read_at_first(
    make_service: MakeService, pooler: PgBouncer, direct: str
) -> None:
    """PgBouncer says so for good, but it is not asked: the server is."""
    service = make_service(DATABASE_URL=direct, start=False)
    service.manage("prepare")
    choose(direct, "SET default_transaction_read_only = on")
    service.settings["DATABASE_URL"] = pooler.url(direct, "prepare_threshold=none")
    service.start(wait=False)
    wait_until(lambda: not service.is_well() and "health: " in service.logged(), "what is wrong")
    assert exchange(service.port, create_request("never")).status == 503
    choose(direct, "RESET default_transaction_read_only")
    service.wait_until_well()
    wait_until(lambda: exchange(service.port, create_request("x")).status == 201, "a create")


def test_statements_that_are_prepared(
    make_service: MakeService, pooler: PgBouncer, direct: str
) -> None:
    """Which PgBouncer mixes up: all that meet it say what to do, and it is an outage."""
    url = pooler.url(direct, "prepare_threshold=none")
    service = make_service(DATABASE_URL=url, start=False)
    service.manage("prepare")
    service.settings |= {"DATABASE_URL": pooler.url(direct, "prepare_threshold=0"), PREPARED: "1"}
    with running(service, WEB) as service.process:
        wait_until(lambda: is_an_outage(service), "a request that fails")
        ended = [service.manage("list_repositories", check=False) for _ in range(3)]
    assert any(REMEDY in each.stderr for each in ended)
    assert REMEDY in service.logged()
    assert "Traceback" not in service.logged() + "".join(each.stderr for each in ended)


#: What is said of it by commands and in the log.
REMEDY = "it needs ?prepare_threshold=none"


def is_an_outage(service: Service) -> bool:
    """Return whether one of several requests fails, after the server is up."""
    try:
        statuses = {exchange(service.port, create_request("x")).status for _ in range(20)}
    except ConnectionRefusedError:
        return False
    assert statuses <= {201, 503}
    return 503 in statuses
