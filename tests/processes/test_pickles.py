"""Pickles that somebody put where Fugata keeps nothing secret: none is ever read as one."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from kombu import Connection

from tests.conftest import MakeService
from tests.processes.test_redis import _purges as purges
from tests.support.clients.console import Console, operator
from tests.support.clients.wire import exchange, request
from tests.support.servers.parts import RedisServer, wait_until
from tests.support.servers.service import Service

QUICK_BEAT = "tests.support.faults.quick_beat"
PURGE = "secrets_app.tasks.purge_expired"
#: The body of a message that is no task.
UNKNOWN = "nothing that is known"
#: What is on no queue of ours, but a list in Redis or a file may hold it.
GARBAGE = [
    *(b"", b"[]", b"5", b"{}", b"\xff", b"[" * 100_000, b'{"body": 1, "properties": {}}'),
    b'{"body": "", "headers": {"task": []}, "properties": {"delivery_tag": "1",'
    b' "delivery_info": {"exchange": "", "routing_key": "tasks"}}}',
]


class Evil:
    """Whoever unpickles this makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.mark,)


@pytest.fixture
def evil(tmp_path: Path) -> Iterator[Evil]:
    """A pickle that must not be read."""
    made = Evil(tmp_path / "ran")
    yield made
    assert not made.mark.exists(), "a pickle was read"
    pickle.loads(pickle.dumps(made))
    assert made.mark.exists(), "the test could not have failed"


def _queue(service: Service, redis_url: str) -> dict[str, object]:
    """Return Celery's configuration of the service's queue."""
    if redis_url:
        options: dict[str, object] = {"global_keyprefix": "fugata:"}
        return {"broker_url": redis_url, "broker_transport_options": options}
    folder = service.home / "queue"
    places = {"data_folder_in": "messages", "data_folder_out": "messages"}
    options = {name: str(folder / place) for name, place in places.items()}
    options |= {"control_folder": str(folder / "control")}
    return {"broker_url": "filesystem://localhost/", "broker_transport_options": options}


def _put(configuration: dict[str, object], evil: Evil) -> None:
    """Put pickles on the queue: as a task's arguments, and in messages of other forms."""
    queue = "tasks" if "redis" in str(configuration["broker_url"]) else "celery"
    with Celery(set_as_current=False) as sender:
        sender.conf.update(configuration, task_default_queue=queue)
        for task in (PURGE, "none.of.ours"):
            sender.send_task(task, [evil], serializer="pickle")
        with sender.connection_for_write() as connection:
            _put_plainly(connection, queue, evil)


def _put_plainly(connection: Connection, queue: str, evil: Evil) -> None:
    with connection.SimpleQueue(queue) as simple:
        simple.put(evil, serializer="pickle")
        simple.put({"task": PURGE, "id": "1", "args": [evil]}, serializer="pickle")
        simple.put(UNKNOWN)
        simple.put(UNKNOWN, serializer="json")


def _goes_on(service: Service) -> None:
    """Wait until a purge that was sent after all else is done; the worker is the one it was."""
    for _ in range(3):
        wait_until(purges(service), "a purge")
    for word in ("Traceback", "started again", "Unrecoverable"):
        assert word not in service.logged()


Spoil = Callable[[redis.Redis, bytes, bytes], object]


def _as_string(client: redis.Redis, key: bytes, evil: bytes) -> None:
    client.set(key, evil)


def _as_list(client: redis.Redis, key: bytes, evil: bytes) -> None:
    client.delete(key)
    client.lpush(key, evil)


def _spoil_what_is_read(url: str, spoil: Spoil, evil: bytes) -> set[bytes]:
    """Replace each key but those of the queue; return what they were for."""
    with redis.Redis.from_url(url) as client:
        keys = [key for key in client.scan_iter("fugata:*") if client.type(key) != b"set"]
        for key in keys:
            spoil(client, key, evil)
        return {b":".join(key.split(b":")[:2]) for key in keys}


def _use(service: Service, console: Console) -> list[int]:
    """Use the pages, the API, and the form to sign in; return the status of each."""
    api = exchange(service.port, request("GET", "/secrets/nothing"))
    pages = [console.get(path) for path in ("", "health/", "login/")]
    attempts = [Console(service).sign_in("olga", "wrong"), Console(service).sign_in()]
    return [api.status, *(page.status_code for page in pages + attempts)]


@pytest.mark.parametrize("spoil", [_as_string, _as_list])
def test_in_every_key(
    make_service: MakeService, redis_server: RedisServer, evil: Evil, spoil: Spoil
) -> None:
    """As after the upgrade from a version that pickled, or as an attacker would."""
    url = redis_server.url()
    service = make_service(
        REDIS_URL=url,
        DJANGO_SETTINGS_MODULE=QUICK_BEAT,
        RATE_LIMIT_RPM="60",
        RATE_LIMIT_BURST="99",
    )
    operator(service)
    console = Console(service)
    assert console.sign_in().status_code == 302
    expected = _use(service, console)
    assert expected == [404, 200, 200, 302, 200, 302]
    purposes = _spoil_what_is_read(url, spoil, pickle.dumps(evil))
    assert purposes >= {b"fugata:bucket", b"fugata:cache"}
    assert _use(service, console) == expected
    _goes_on(service)
    assert "limits are off" not in service.logged()


@pytest.mark.parametrize("with_redis", [True, False])
def test_on_the_queue(
    make_service: MakeService, redis_server: RedisServer, evil: Evil, with_redis: bool
) -> None:
    url = redis_server.url() if with_redis else ""
    service = make_service(REDIS_URL=url, DJANGO_SETTINGS_MODULE=QUICK_BEAT)
    _put(_queue(service, url), evil)
    for number, garbage in enumerate([*GARBAGE, pickle.dumps(evil)]):
        if with_redis:
            with redis.Redis.from_url(url) as client:
                client.lpush("fugata:tasks", garbage)
        else:
            (service.home / f"queue/messages/1_{number}.celery.msg").write_bytes(garbage)
    _goes_on(service)
    assert UNKNOWN not in service.logged()
    assert "dropped unread (no task)" in service.logged()
