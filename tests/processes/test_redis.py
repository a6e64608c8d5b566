"""Redis: one URL for all parts, refused by name where it is wrong, and shared with others."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from fugata_server.processes import PREPARED, WEB, WORKER
from tests.conftest import MakeService
from tests.processes.test_metrics import scraped, value
from tests.support.clients import stored
from tests.support.clients.wire import exchange, request, volley
from tests.support.faults.gate import Gate
from tests.support.servers.installation import BEAT
from tests.support.servers.other_application import DONE
from tests.support.servers.parts import RedisServer, free_port, wait_until
from tests.support.servers.service import ROOT, Service, running
from tests.support.servers.tls import TlsFront, authority

QUICK_BEAT = "tests.support.faults.quick_beat"
PASSWORD, QUOTED = "a/b#c?d@e%25", "a%2Fb%23c%3Fd%40e%2525"
#: What the console finds, after a use of the cache.
LOOK = """
from django.core.cache import cache
from operations_app.diagnostics.checks import redis
cache.set("looked", 1)
print(redis().summary)
"""
#: As docs/settings.md has them: to touch any other key is an error.
_RULES = ("~fugata:*", "resetchannels", "&fugata:*", "+@all", "-@admin", "-@dangerous", "+info")
_SUCCESS = "SELECT at FROM operations_app_tasksuccess WHERE task = 'purge_expired'"


def _administrator(server: RedisServer) -> redis.Redis:
    """Return a client that passwords do not keep out."""
    return redis.Redis(port=server.port, db=2, username="root", password="root")


@pytest.fixture
def locked(own_redis: RedisServer) -> RedisServer:
    """A Redis that asks for PASSWORD, but of its administrator."""
    allowed = {
        "root": (">root", "~*", "+@all"),
        "ada": (f">{PASSWORD}", *_RULES),
    }
    with redis.Redis(port=own_redis.port) as client:
        for name, rules in allowed.items():
            client.execute_command("ACL", "SETUSER", name, "on", *rules)
        client.config_set("requirepass", PASSWORD)
    return own_redis


@pytest.fixture
def front(locked: RedisServer, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """TLS before it: a port, and the file of its authority."""
    certificate, key = authority(tmp_path / "tls")
    made = TlsFront(locked.port, certificate, key)
    yield made.port, certificate
    made.close()


def _purges(service: Service) -> Callable[[], bool]:
    """Return what tells whether a purge has come to its end since now."""
    before = stored.query(service, _SUCCESS)
    return lambda: stored.query(service, _SUCCESS) != before


def _keys(server: RedisServer) -> set[bytes]:
    with _administrator(server) as client:
        return set(client.scan_iter(count=1000))


FORMS = {
    "a question mark": "redis://ada:{password}@127.0.0.1:{port}?db=2",
    "a socket": "unix://ada:{password}@{socket}?db=2",
    "TLS": "rediss://ada:{password}@127.0.0.1:{tls}/2?ssl_ca_certs={certificate}",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_part_takes_every_form(
    make_service: MakeService, locked: RedisServer, front: tuple[int, Path], form: str
) -> None:
    """Limits, cache, queue and console use one database, and keys that are Fugata's own."""
    assert " ".join(_RULES) in (ROOT / "docs" / "settings.md").read_text()
    tls, certificate = front
    at = {"port": locked.port, "socket": locked.socket, "tls": tls, "certificate": certificate}
    url = FORMS[form].format(password=QUOTED, **at)
    service = make_service(
        REDIS_URL=url, RATE_LIMIT_RPM="1", RATE_LIMIT_BURST="3", DJANGO_SETTINGS_MODULE=QUICK_BEAT
    )
    wait_until(_purges(service), "a purge that beat sent")
    answers = volley(service.port, [request("GET", "/secrets/nothing")] * 5)
    assert sorted(answer.status for answer in answers) == [404] * 3 + [429] * 2
    assert "It answers" in service.manage("shell", "--no-imports", "-c", LOOK).stdout
    kept = _keys(locked)
    assert {key for key in kept if not key.startswith(b"fugata:")} == set()
    for named in (b"fugata:bucket:", b"fugata:cache:", b"fugata:_kombu.binding.tasks"):
        assert [key for key in kept if key.startswith(named)], kept
    wait_until(_purges(service), "another")
    for word in ("Traceback", "Cannot connect", "limits are off", PASSWORD, QUOTED):
        assert word not in service.logged()


# --- What is wrong for good is said at the start ---


def _commands() -> dict[str, list[str]]:
    serve = [sys.executable, "manage.py", "serve"]
    return {"serve": serve, "web": WEB, "worker": WORKER, "beat": BEAT}


@pytest.mark.parametrize("part", _commands())
def test_a_wrong_password_is_said_at_the_start(
    make_service: MakeService, locked: RedisServer, part: str
) -> None:
    service = make_service(start=False, REDIS_URL=f"redis://:hunter2@127.0.0.1:{locked.port}/0")
    good = Service(service.home, REDIS_URL="", FUGATA_HOME=str(service.home))
    good.manage("prepare")
    ended = service.run(*_commands()[part])
    assert ended.returncode != 0
    assert "REDIS_URL: Redis refuses the user or the password" in ended.stdout
    assert "Traceback" not in ended.stdout
    assert "hunter2" not in ended.stdout


def test_a_wrong_authority_is_said_at_the_start(
    make_service: MakeService, front: tuple[int, Path], tmp_path: Path
) -> None:
    other, _ = authority(tmp_path / "other")
    url = f"rediss://:{QUOTED}@127.0.0.1:{front[0]}/0?ssl_ca_certs={other}"
    service = make_service(start=False, REDIS_URL=url)
    ended = service.run(*_commands()["serve"])
    assert ended.returncode != 0
    assert "REDIS_URL: the certificate" in ended.stdout
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize("part", ["worker", "beat"])
def test_a_queue_that_turns_unusable_is_said_in_sentences(
    make_service: MakeService, locked: RedisServer, part: str
) -> None:
    """Its user was shut out since the start: the process waits until it is let in."""
    service = make_service(
        start=False,
        REDIS_URL=f"redis://ada:hunter2@127.0.0.1:{locked.port}/2",
        DJANGO_SETTINGS_MODULE=QUICK_BEAT,
    )
    service.settings[PREPARED] = "1"  # as if all was well then
    service.run(sys.executable, "manage.py", "migrate")
    with running(service, _commands()[part]) as process:
        refused = "can't connect to the queue (AuthenticationError); trying again"
        wait_until(lambda: service.logged().count(refused) > 1, "two refusals")
        assert process.poll() is None
        with _administrator(locked) as client:
            client.execute_command("ACL", "SETUSER", "ada", "nopass")
            queue = "fugata:tasks" if part == "beat" else "fugata:_kombu.binding.tasks"
            wait_until(lambda: client.exists(queue) == 1, "work")
    assert service.tracebacks() == []
    assert "hunter2" not in service.logged()


def test_tls_that_redis_does_not_speak_is_said_again_and_again(
    make_service: MakeService, own_redis: RedisServer
) -> None:
    """Should the start not see it: Redis answers nothing, and is not waited for."""
    url = f"rediss://127.0.0.1:{own_redis.port}/0"
    service = make_service(start=False, REDIS_URL=url)
    service.settings[PREPARED] = "1"
    with running(service, WORKER):
        refused = "can't connect to the queue (TimeoutError)"
        wait_until(lambda: service.logged().count(refused) > 1, "two tries")


# --- What goes wrong while all runs, and is well again ---


def _command_taken(client: redis.Redis, taken: bool) -> None:
    commands = ["-brpop", "-lpush"] if taken else ["+@all"]
    client.acl_setuser("default", enabled=True, commands=commands)


def _replica(client: redis.Redis, is_one: bool) -> None:
    client.replicaof(*(("127.0.0.1", "1") if is_one else ("NO", "ONE")))


def _full(client: redis.Redis, is_full: bool) -> None:
    client.config_set("maxmemory", "1" if is_full else "0")


def _full_and_reset(client: redis.Redis, is_full: bool) -> None:
    """Have the worker connect again, which takes memory."""
    _full(client, is_full)
    client.client_kill_filter(_type="normal", skipme=True)


PASSING = {
    "a command that the user lacks": (_command_taken, "NoPermissionError"),
    "a replica": (_replica, "ReadOnlyError"),
    "no memory": (_full, "OutOfMemoryError"),
    "no memory to connect": (_full_and_reset, "OutOfMemoryError"),
}


def _comes_back(service: Service, said: tuple[str, str], heal: Callable[[], object]) -> None:
    """Wait until worker and beat have said that, heal, and see a purge; no process ended."""
    worker, beat = said
    wait_until(lambda: worker in service.logged(), worker)
    sentence = f"purge-expired was not sent to the worker: OperationalError, {beat}\n"
    wait_until(lambda: sentence in service.logged(), sentence)
    heal()
    wait_until(_purges(service), "another purge")
    for word in ("Traceback", "File ", "Unrecoverable", "started again", "optional breaking"):
        assert word not in service.logged()


@pytest.fixture
def purging(make_service: MakeService, own_redis: RedisServer) -> Iterator[tuple[Service, Gate]]:
    """A service that has purged, and the gate through which it uses `own_redis`."""
    gate = Gate(("127.0.0.1", own_redis.port))
    url = f"redis://127.0.0.1:{gate.port}/499"
    service = make_service(REDIS_URL=url, DJANGO_SETTINGS_MODULE=QUICK_BEAT)
    wait_until(_purges(service), "a purge")
    yield service, gate
    service.stop()
    gate.close()


@pytest.mark.parametrize("fault", PASSING)
def test_what_redis_refuses_for_a_while(
    purging: tuple[Service, Gate], own_redis: RedisServer, fault: str
) -> None:
    change, kind = PASSING[fault]
    with redis.Redis(port=own_redis.port) as client:
        change(client, True)
        _comes_back(purging[0], (f"('{kind}')", kind), lambda: change(client, False))


def test_a_redis_that_is_started_again(
    purging: tuple[Service, Gate], own_redis: RedisServer
) -> None:
    own_redis.kill()
    said = "can't connect to the queue (ConnectionError)", "ConnectionError"
    _comes_back(purging[0], said, own_redis.start)


def test_a_redis_that_hangs_until_its_address_leads_to_another(
    purging: tuple[Service, Gate], own_redis: RedisServer, redis_server: RedisServer
) -> None:
    """Nobody closes the connections to the first."""
    service, gate = purging
    own_redis.freeze()
    said = "can't connect to the queue (TimeoutError)", "TimeoutError"
    other = ("127.0.0.1", redis_server.port)
    _comes_back(service, said, lambda: setattr(gate, "target", other))


def test_a_redis_that_is_down_stops_no_start(make_service: MakeService) -> None:
    service = make_service(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    asked = exchange(service.port, request("GET", "/secrets/nothing"))
    assert asked.status == 404
    assert "limits are off" in service.logged()


def test_a_worker_that_never_comes_up_is_seen(make_service: MakeService) -> None:
    """The web serves; the metrics say since when no purge came to its end."""
    port = free_port()
    service = make_service(start=False, redis=True, METRICS_PORT=str(port))
    service.manage("prepare")
    with running(service, WEB) as service.process:
        service.wait_until_well()
        series = "fugata_task_last_success_timestamp_seconds"
        since = value(scraped(f"http://127.0.0.1:{port}"), series, task="purge_expired")
    ((created,),) = stored.query(
        service,
        "SELECT CAST(strftime('%s', created_at) AS INTEGER) FROM vault_app_keyencryptionkey",
    )
    assert since is not None
    assert int(since) == created


# --- A Redis that others use too ---


def _done(client: redis.Redis) -> int:
    return int(client.get(DONE) or 0)


def test_another_application_of_celery(
    make_service: MakeService, redis_server: RedisServer
) -> None:
    """In one database, with Celery's default names: neither takes what is the other's."""
    url = redis_server.url()
    service = make_service(REDIS_URL=url, DJANGO_SETTINGS_MODULE=QUICK_BEAT)
    service.settings["OTHER_REDIS_URL"] = url
    other = [sys.executable, "-m", "celery", "-A", "tests.support.servers.other_application"]
    with running(service, [*other, "worker", "--pool=solo"]), redis.Redis.from_url(url) as client:
        with Celery(broker=url, set_as_current=False) as sender:
            for _ in range(20):
                sender.send_task("tests.support.servers.other_application.count")
        wait_until(lambda: _done(client) == 20, "every task of the other")
        for _ in range(3):
            wait_until(_purges(service), "a purge")
    assert "unregistered" not in service.logged()


def test_two_installations(make_service: MakeService, redis_server: RedisServer) -> None:
    """In one database, under a prefix each: buckets and queues are apart."""
    url = redis_server.url()
    one = make_service(REDIS_URL=url, RATE_LIMIT_RPM="1", RATE_LIMIT_BURST="2", SECRET_KEY="s" * 60)
    two = make_service(
        REDIS_URL=url, RATE_LIMIT_RPM="1", RATE_LIMIT_BURST="2", SECRET_KEY="s" * 60,
        REDIS_PREFIX="two",
    )  # fmt: skip
    for service in (one, two):
        answers = volley(service.port, [request("GET", "/secrets/nothing")] * 3)
        assert sorted(answer.status for answer in answers) == [404, 404, 429]
    with redis.Redis.from_url(url) as client:
        prefixes = {key.partition(b":")[0] for key in client.scan_iter()}
    assert prefixes == {b"fugata", b"two"}
