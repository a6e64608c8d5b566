"""Several processes that prepare one new database at once: they wait for each other."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess

import psycopg
import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service

AT_ONCE, ROUNDS = 3, 2
_TURNS = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE locktype = 'advisory' AND datname = current_database()
"""
#: How many sessions of the database wait for a lock.
WAITERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def prepare_at_once(services: list[Service]) -> list[CompletedProcess[str]]:
    """Prepare with all of them at once."""
    with ThreadPoolExecutor(len(services)) as pool:
        return list(pool.map(lambda service: service.manage("prepare", check=False), services))


def assert_all_prepared(services: list[Service]) -> None:
    """Prepare with all of them at once, and see that it worked for each."""
    for ended in prepare_at_once(services):
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
    services[0].manage("prepare", "--check-only")


def several_on_one(make_service: MakeService, database: str) -> list[Service]:
    """Return several services that share a new database and the home of the first."""
    first = make_service(database, start=False)
    return [first, *(Service(first.home, **first.settings) for _ in range(AT_ONCE - 1))]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_several_at_once(make_service: MakeService, any_database: str, number: int) -> None:
    assert_all_prepared(several_on_one(make_service, any_database))


def test_several_that_serve_at_once(make_service: MakeService) -> None:
    """Each prepares first, and one of them makes the keyring."""
    services = several_on_one(make_service, "postgresql")
    try:
        for number, service in enumerate(services):
            service.log = service.home.parent / f"{number}.log"
            service.start(wait=False)
        for service in services:
            service.wait_until_well()
            assert service.tracebacks() == []
    finally:
        for service in services:
            service.stop()


def test_a_keyring_of_ones_own_is_made_once(make_service: MakeService) -> None:
    """Homes of their own: one makes the key, and the others are told that they lack it."""
    first = make_service("postgresql", start=False)
    url = first.settings["DATABASE_URL"]
    others = [make_service(DATABASE_URL=url, start=False) for _ in range(AT_ONCE - 1)]
    ended = prepare_at_once([first, *others])
    assert sorted(each.returncode for each in ended) == [0, *[1] * len(others)]
    assert sum("that key is not at hand" in each.stderr for each in ended) == len(others)


def test_a_turn_outlives_the_limits_of_sessions(make_service: MakeService) -> None:
    """The session that has the lock is idle for as long as the migrations take."""
    service = make_service("postgresql", start=False)
    service.manage("prepare")
    service.manage("migrate", "secrets_app", "0001")
    ((name,),) = stored.query(service, "SELECT current_database()")
    for limit in ("lock_timeout = '60s'", "idle_in_transaction_session_timeout = '100ms'"):
        stored.query(service, f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" SET {limit}')
    with (
        psycopg.connect(service.settings["DATABASE_URL"]) as blocking,
        ThreadPoolExecutor(1) as pool,
    ):
        blocking.execute("SET idle_in_transaction_session_timeout = 0")
        blocking.execute("LOCK TABLE secrets_app_idempotentresponse IN ACCESS SHARE MODE")
        prepared = pool.submit(service.manage, "prepare", check=False)
        wait_until(lambda: stored.query(service, WAITERS)[0][0] == 1, "a migration that waits")
        _await_the_end_of_one_that_idles(service)
        assert stored.query(service, _TURNS) == [(1,)]
        blocking.rollback()
        assert prepared.result().returncode == 0


def _await_the_end_of_one_that_idles(service: Service) -> None:
    with contextlib.closing(psycopg.connect(service.settings["DATABASE_URL"])) as idle:
        idle.execute("SELECT 1")
        found = f"SELECT FROM pg_stat_activity WHERE pid = {idle.info.backend_pid}"
        wait_until(lambda: not stored.query(service, found), "the limit's end of a session")
