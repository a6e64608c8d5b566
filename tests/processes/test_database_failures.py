"""A database that answers, and fails what is asked of it: what log and health say of it."""

from functools import partial
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.conftest import MakeService
from tests.support.clients.keeping import Keeper, keeper
from tests.support.clients.sharing import create, create_request, open_share
from tests.support.clients.wire import exchange
from tests.support.servers.installation import send_task
from tests.support.servers.parts import PostgresqlServer, wait_until
from tests.support.servers.service import Service

#: Part of what is stored; PostgreSQL quotes it in what it says of a row.
QUOTED = "LABELMARK"
REQUESTS, WRITES = "Requests fail at the database", "Value store can't be written to"
_QUOTES = """
ALTER TABLE secrets_app_share ADD CONSTRAINT c CHECK (label NOT LIKE 'LABEL%');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused: % %', OLD, NEW; END $$;
"""
_TRIGGER = "CREATE TRIGGER t BEFORE {} ON {} FOR EACH ROW EXECUTE FUNCTION refuse()"


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as session:
        cursor = session.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def renew(url: str) -> None:
    """End all sessions, so that new ones are made."""
    name = urlsplit(url).path[1:]
    server = url.replace(f"/{name}", "/postgres")
    execute(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE datname = '{name}'")  # fmt: skip


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.new_database()


@pytest.fixture
def service(make_service: MakeService, url: str) -> Service:
    return make_service(DATABASE_URL=url, redis=True, WEB_CONCURRENCY="2", WEB_THREADS="4")


def status(service: Service, content: str = "x", **more: object) -> int:
    return exchange(service.port, create_request(content, **more)).status


def health(service: Service, path: str = "/healthz") -> tuple[int, str | None]:
    answer = exchange(service.port, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    return answer.status, answer.json().get("error")


def fails(service: Service, kind: int, sentence: str, content: str = "x") -> None:
    """Make requests, which fail, until each process says that it is unwell."""

    def all_say_so() -> bool:
        made = {status(service, content) for _ in range(12)}
        return made == {kind} and {health(service) for _ in range(12)} == {(503, sentence)}

    wait_until(all_say_so, "processes that all know")
    assert {health(service, "/readyz") for _ in range(12)} == {(200, None)}


def recovers(service: Service, content: str = "x") -> None:
    """Make requests until they succeed and all is well."""

    def all_well() -> bool:
        made = {status(service, content) for _ in range(12)}
        return made == {201} and {health(service)[0] for _ in range(12)} == {200}

    wait_until(all_well, "processes that are well")


def lines(service: Service) -> list[str]:
    return [line for line in service.logged().splitlines() if "the database failed: " in line]


def logged(service: Service, kinds: str, least: int) -> bool:
    return sum(kinds in line for line in lines(service)) >= least


# --- The log -------------------------------------------------------------------------------------


@pytest.fixture
def quoting(service: Service, url: str) -> Keeper:
    """A database that says all of what it refuses; it refuses most."""
    name = urlsplit(url).path[1:]
    made = keeper(service)
    execute(url, f'ALTER DATABASE "{name}" SET log_parameter_max_length_on_error = -1')
    execute(url, _QUOTES)
    for what, table in (("INSERT", "repositories_app_repositorysecret"),
                        ("DELETE", "secrets_app_idempotentresponse"),
                        ("INSERT", "django_session")):  # fmt: skip
        execute(url, _TRIGGER.format(what, table))
    renew(url)
    wait_until(lambda: status(service) == 201, "new sessions")
    return made


def test_what_the_database_quotes_is_nowhere(service: Service, url: str, quoting: Keeper) -> None:
    for _ in range(3):
        assert status(service, metadata=f"{QUOTED} 1") == 500
        assert exchange(service.port, quoting.set_request(QUOTED, "v")).status == 500
    for kinds in ("CheckViolation, IntegrityError, 23514", "RaiseException, P0001"):
        wait_until(partial(logged, service, kinds, 3), "a line each")
    text = service.logged()
    for quoted in (QUOTED, "Failing row", "parameters", "$1", "refused: ", "Traceback"):
        assert quoted not in text


def test_nor_by_a_task_or_a_command(service: Service, url: str) -> None:
    create(service.port, metadata=QUOTED)
    execute(url, _QUOTES.partition(";")[2])
    execute(url, _TRIGGER.format("DELETE", "secrets_app_share"))
    execute(url, "UPDATE secrets_app_share SET expires_at = now() - interval '1 day'")
    send_task(service.settings["REDIS_URL"], "purge_expired")
    wait_until(lambda: "purge_expired failed: " in service.logged(), "the worker's line")
    assert "RaiseException, P0001" in service.logged()
    ended = service.manage("purge_expired", check=False)
    assert ended.returncode == 1
    assert "RaiseException: [redacted]" in ended.stderr
    for said in (service.logged(), ended.stderr + ended.stdout):
        assert QUOTED not in said
        assert "refused: " not in said


# --- Health --------------------------------------------------------------------------------------


def use_role(service: Service, url: str) -> str:
    """Start the service as a role that may do all it needs, and return the role."""
    role = f"role_{urlsplit(url).path[1:]}"
    execute(url, f"CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
                 f" GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")  # fmt: skip
    service.stop()
    service.settings["DATABASE_URL"] = url.replace("//postgres", f"//{role}")
    service.start()
    return role


def test_a_right_that_is_taken_away(service: Service, url: str) -> None:
    """Reading goes on meanwhile, which does not make creating well."""
    share, kept = create(service.port, one_time=False), keeper(service)
    role = use_role(service, url)
    execute(url, f"REVOKE INSERT ON vault_app_storedvalue FROM {role}")
    assert status(service) == 500
    for _ in range(20):
        assert open_share(service.port, share).status == 200
    fails(service, 500, REQUESTS)
    assert open_share(service.port, share).status == 200
    execute(url, f"GRANT INSERT ON vault_app_storedvalue TO {role}")
    recovers(service)
    execute(url, f"REVOKE SELECT ON repositories_app_accesstoken FROM {role}")
    before = len(lines(service))  # a middleware asks for the token
    assert exchange(service.port, kept.request("GET", "k")).status == 500
    wait_until(lambda: len(lines(service)) > before, "the line")
    assert all("InsufficientPrivilege, ProgrammingError, 42501" in line for line in lines(service))
    assert service.tracebacks() == []


def test_tables_that_are_not_found(service: Service, url: str) -> None:
    """It is well again by itself, too, where nobody asks for anything."""
    name = urlsplit(url).path[1:]
    execute(url, f'ALTER DATABASE "{name}" SET search_path = nowhere')
    renew(url)
    wait_until(lambda: status(service) == 500, "new sessions")
    fails(service, 500, REQUESTS)
    execute(url, f'ALTER DATABASE "{name}" RESET search_path')
    renew(url)
    wait_until(lambda: {health(service)[0] for _ in range(12)} == {200}, "all well")
    recovers(service)


def only_health_has_some(url: str, role: str, count: int) -> bool:
    """Return whether health has as many connections, and end others: the worker may be quicker."""
    sessions = f"FROM pg_stat_activity WHERE usename = '{role}' AND state = 'idle' AND query"
    execute(url, f"SELECT pg_terminate_backend(pid) {sessions} <> 'SHOW transaction_read_only'")
    return execute(url, f"SELECT count(*) {sessions} = 'SHOW transaction_read_only'") == [(count,)]


def test_no_connection_is_left_for_requests(service: Service, url: str) -> None:
    """Health's threads have the last ones."""
    role = use_role(service, url)
    execute(url, f"ALTER ROLE {role} CONNECTION LIMIT 2")
    renew(url)
    wait_until(lambda: only_health_has_some(url, role, 2), "health's connections")
    wait_until(lambda: {health(service) for _ in range(12)} == {(200, None)}, "all well")
    fails(service, 503, REQUESTS)
    assert any("OperationalError, too many connections" in line for line in lines(service))
    assert "takes no more connections" in service.manage("list_keys", check=False).stderr
    execute(url, f"ALTER ROLE {role} CONNECTION LIMIT -1")
    recovers(service)


# --- A table that is changed while it is used -----------------------------------------------------


def test_a_column_whose_type_changes(service: Service, url: str) -> None:
    """Each thread has prepared statements, which fail from then on."""
    kept = keeper(service)
    assert kept.set("KEY", "value").status == 201
    for _ in range(40):
        assert kept.read("KEY").status == 200
    execute(url, "ALTER TABLE auth_user ALTER COLUMN username TYPE varchar(200)")
    answers = [kept.read("KEY") for _ in range(40)]
    outages = [answer for answer in answers if answer.status == 503]
    assert {answer.status for answer in answers} == {200, 503}
    assert all("retry-after" in answer.headers for answer in outages)
    assert any("StaleStatement, 0A000" in line for line in lines(service))
    wait_until(lambda: {kept.read("KEY").status for _ in range(40)} == {200}, "new sessions")


# --- A statement that takes too long -------------------------------------------------------------

_ENDLESS = """
CREATE FUNCTION endless() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$;
CREATE TRIGGER endless BEFORE INSERT ON vault_app_storedvalue FOR EACH ROW
    EXECUTE FUNCTION endless();
"""
_SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = "


def test_a_statement_that_nobody_waits_for(make_service: MakeService, url: str) -> None:
    """The server does not go on with it, though it was given no time limit."""
    service = make_service(DATABASE_URL=f"{url}&prepare_threshold=none", DATABASE_TIMEOUT="1")
    execute(url, _ENDLESS)
    assert status(service) == 503
    sleepers = _SLEEPERS + "current_database()"
    wait_until(lambda: execute(url, sleepers) == [(0,)], "the statement's end")
    execute(url, "DROP FUNCTION endless CASCADE")
    recovers(service)


def test_what_was_given_up_is_not_done_later(make_service: MakeService, url: str) -> None:
    """Its client was told that it failed: the share is as it was."""
    service = make_service(DATABASE_URL=url, DATABASE_TIMEOUT="1")
    for _ in range(4):
        share = create(service.port, "kept")
        with psycopg.connect(url) as other:
            other.execute("SELECT 1 FROM secrets_app_share FOR UPDATE")
            assert open_share(service.port, share).status == 503
        assert open_share(service.port, share).json()["content"] == "kept"


# --- A full disk ---------------------------------------------------------------------------------

_NO_ROOM = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON vault_app_storedvalue FOR EACH ROW
    WHEN (octet_length(NEW.sealed) > 100000) EXECUTE FUNCTION no_room();
"""


def test_a_disk_with_room_for_a_trial_alone(service: Service, url: str) -> None:
    """What health stores to see is smaller than what requests store."""
    large = "x" * 400_000
    execute(url, _NO_ROOM)
    fails(service, 503, WRITES, large)
    assert f"health: {WRITES} (the disk of the database is full)" in service.logged()
    execute(url, "DROP FUNCTION no_room CASCADE")
    recovers(service, large)


# --- What a database must be ---------------------------------------------------------------------


def test_an_encoding_that_lacks_characters(
    make_service: MakeService, postgresql: PostgresqlServer
) -> None:
    direct = postgresql.new_database()
    name = urlsplit(direct).path[1:]
    service = make_service(DATABASE_URL=direct, start=False)
    service.manage("prepare")
    server = direct.replace(f"/{name}", "/postgres")
    execute(server, f"UPDATE pg_database SET encoding = 8 WHERE datname = '{name}'")  # LATIN1
    for more in ([], ["--check-only"]):
        ended = service.manage("prepare", *more, check=False)
        assert ended.returncode == 1
        assert "encoding must be UTF8" in ended.stderr
        assert "Traceback" not in ended.stderr
