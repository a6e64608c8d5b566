"""A database that can only be read: a 503 that names it, unhealthy, and left for one that can be
written to. Nothing has to be restarted.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import MakeService, Require
from tests.support.clients import stored
from tests.support.clients.sharing import (
    Share,
    create,
    create_request,
    delete_request,
    open_request,
    open_share,
)
from tests.support.clients.wire import exchange, volley
from tests.support.faults.gate import Gate
from tests.support.servers.installation import send_task
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service
from tests.support.servers.standby import ReplicatedPostgresql

UNHEALTHY = {"status": "unhealthy", "error": "Database connection failed"}
READ_ONLY = "DATABASE_URL: the database can only be read."
#: Takes what there is, so that it stands before a server that can only be read.
ANY = "?target_session_attrs=any"
_PURGES = "SELECT count(*) FROM operations_app_tasksuccess WHERE task = 'purge_expired'"


@pytest.fixture
def server() -> Iterator[ReplicatedPostgresql]:
    """A server and its standby, outside pytest's folder, which is closed to PostgreSQL's user."""
    parent = Path(tempfile.mkdtemp(prefix="fugata-pg-"))
    parent.chmod(0o755)
    (parent / "first").mkdir()
    made = ReplicatedPostgresql(parent / "first")
    made.add_standby()
    yield made
    made.close()
    shutil.rmtree(parent)


@pytest.fixture
def gate(server: ReplicatedPostgresql) -> Iterator[Gate]:
    """The one address of both; at first it leads to the server."""
    made = Gate(server.socket)
    yield made
    made.close()


def address(server: ReplicatedPostgresql, gate: Gate, query: str = "") -> str:
    path = urlsplit(server.new_database()).path
    return f"postgresql://postgres@127.0.0.1:{gate.port}{path}{query}"


def health(service: Service) -> tuple[int, object]:
    answer = exchange(service.port, b"GET /healthz HTTP/1.0\r\n\r\n")
    return answer.status, answer.json()


def all_say(service: Service, status: int) -> bool:
    """Return whether a run of probes, which all processes answer, finds that."""
    return {health(service)[0] for _ in range(12)} == {status}


def works(service: Service) -> bool:
    """Return whether a run of creates, which all threads answer, succeeds."""
    statuses = {exchange(service.port, create_request("again")).status for _ in range(40)}
    assert statuses <= {201, 503}
    return statuses == {201}


def assert_refused(service: Service, share: Share) -> None:
    """What writes is a 503, in whatever thread; nothing is used up."""
    for _ in range(10):
        for data in (open_request(share), create_request("never"), delete_request(share)):
            answer = exchange(service.port, data)
            assert (answer.status, answer.json()) == (503, {"error": "Database unavailable"})
            assert int(answer.headers["retry-after"]) > 0


def assert_read_only(service: Service, share: Share) -> None:
    """It is refused, and said to be unhealthy, by each process."""
    assert_refused(service, share)
    wait_until(lambda: all_say(service, 503), "processes that all know")
    assert health(service) == (503, UNHEALTHY)


def assert_back(service: Service, share: Share) -> None:
    """It serves again, without a restart, and said in a line each what it refused."""
    wait_until(lambda: all_say(service, 200), "processes that are all well")
    wait_until(lambda: works(service), "a working service")
    assert open_share(service.port, share).json()["content"] == share.content
    assert service.tracebacks() == []


@pytest.fixture(params=["", ANY])
def service(
    request: pytest.FixtureRequest,
    make_service: MakeService,
    server: ReplicatedPostgresql,
    gate: Gate,
) -> Service:
    """Two processes behind the gate: which ask for a writable server, or take any."""
    url = address(server, gate, request.param)
    return make_service(DATABASE_URL=url, redis=True, WEB_CONCURRENCY="2", WEB_THREADS="4")


def test_a_standby_that_is_promoted_late(
    service: Service, server: ReplicatedPostgresql, gate: Gate
) -> None:
    share = create(service.port, "before")
    server.kill()
    gate.target = server.standby_socket
    assert_read_only(service, share)
    server.promote()
    assert_back(service, share)


def test_a_failover_past_a_server_that_can_only_be_read(
    service: Service, server: ReplicatedPostgresql, gate: Gate
) -> None:
    """That one stays, with every connection to it."""
    share = create(service.port, "before")
    server.forbid_writing()
    assert_read_only(service, share)
    gate.target = server.promote()
    assert_back(service, share)


def test_a_server_that_can_only_be_read_for_a_while(
    service: Service, server: ReplicatedPostgresql
) -> None:
    share = create(service.port, "before")
    server.forbid_writing()
    assert_read_only(service, share)
    send_task(service.settings["REDIS_URL"], "purge_expired")
    wait_until(lambda: "purge_expired failed" in service.logged(), "the worker's line")
    server.allow_writing()
    assert_back(service, share)
    send_task(service.settings["REDIS_URL"], "purge_expired")
    wait_until(lambda: stored.query(service, _PURGES) == [(1,)], "work of the worker")


def test_a_role_that_may_only_read_for_a_while(
    service: Service, server: ReplicatedPostgresql, gate: Gate
) -> None:
    """Sessions are as they were made: what was made meanwhile is left."""
    share = create(service.port, "before")
    server.execute("ALTER ROLE postgres SET default_transaction_read_only = on")
    gate.reset()
    assert_read_only(service, share)
    server.execute("ALTER ROLE postgres RESET default_transaction_read_only")
    assert_back(service, share)


@pytest.mark.parametrize("service", [ANY], indirect=True)
def test_a_wrong_turn_to_the_standby(
    service: Service, server: ReplicatedPostgresql, gate: Gate
) -> None:
    """The standby takes connections, and keeps them when the address is right again."""
    share = create(service.port, "before")
    gate.target = server.standby_socket
    gate.reset()
    assert_read_only(service, share)
    gate.target = server.socket
    assert_back(service, share)


def test_a_failover_past_a_server_that_hangs(
    make_service: MakeService, server: ReplicatedPostgresql, gate: Gate
) -> None:
    """Its kernel still acknowledges what it is sent. Requests, health and the worker give it up."""
    url = address(server, gate)
    service = make_service(
        DATABASE_URL=url, redis=True, WEB_CONCURRENCY="2", WEB_THREADS="4", DATABASE_TIMEOUT="2"
    )
    share = create(service.port, "before")
    send_task(service.settings["REDIS_URL"], "purge_expired")
    wait_until(lambda: stored.query(service, _PURGES) == [(1,)], "a connection of the worker")
    server.freeze()
    try:
        send_task(service.settings["REDIS_URL"], "purge_expired")
        caught = volley(service.port, [open_request(share)] * 8)
        assert {answer.status for answer in caught} == {503}
        gate.target = server.promote()
        assert_back(service, share)
        wait_until(lambda: "purge_expired failed" in service.logged(), "the worker's line")
    finally:
        server.thaw()


# --- Several servers in the address --------------------------------------------------------------


def test_the_one_of_several_that_can_be_written_to(
    make_service: MakeService, server: ReplicatedPostgresql
) -> None:
    first, second = Gate(server.standby_socket), Gate(server.socket)
    path = urlsplit(server.new_database()).path
    hosts = f"host=127.0.0.1,localhost&port={first.port},{second.port}"
    url = f"postgresql://postgres@{path}?{hosts}"
    service = make_service(DATABASE_URL=url)
    share = create(service.port, "before")
    server.kill()
    assert_refused(service, share)
    server.promote()
    assert_back(service, share)
    first.close()
    second.close()


# --- Commands ------------------------------------------------------------------------------------


def test_commands_on_a_standby(
    make_service: MakeService, server: ReplicatedPostgresql, tmp_path: Path
) -> None:
    """They say what it is; those that only read do so where any server will do."""
    service = make_service(DATABASE_URL=server.new_database())
    create(service.port, "kept")
    old = (service.home / "keyring").read_text().partition(":")[0]
    service.manage("rotate_key")
    service.settings["DATABASE_URL"] = server.on_standby(service.settings["DATABASE_URL"])
    writers = ["backup", str(tmp_path / "backup")], ["purge_expired"], ["retire_key", old]
    readers = ["fsck"], ["audit", "verify"], ["audit", "export"], ["list_access_tokens"]
    assert_say_so(service, ["prepare"], *writers, *readers)
    service.settings["DATABASE_URL"] += "&target_session_attrs=any"
    assert_say_so(service, *writers)
    for command in readers:
        service.manage(*command)


def assert_say_so(service: Service, *commands: list[str]) -> None:
    for command in commands:
        ended = service.manage(*command, check=False)
        assert (ended.returncode, READ_ONLY in ended.stderr) == (1, True), command
        assert "Traceback" not in ended.stderr


# --- SQLite --------------------------------------------------------------------------------------


@contextmanager
def mounted_read_only(folder: Path) -> Iterator[None]:
    """Have a folder's path lead to a read-only view of it while the block runs."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_file_that_can_only_be_read(make_service: MakeService, require: Require) -> None:
    """Not even by root: its file system is mounted so, over the one that the service opened."""
    require("root, to mount a folder read-only", os.geteuid() == 0)
    service = make_service()
    with mounted_read_only(service.home):
        wait_until(lambda: all_say(service, 503), "a process that knows")
        assert health(service) == (503, UNHEALTHY)
    wait_until(lambda: all_say(service, 200), "a process that is well")
    wait_until(lambda: works(service), "a working service")
