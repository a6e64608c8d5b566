"""Start and stop: one parent for all processes, and nothing acknowledged is lost between them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.conftest import MakeService
from tests.support.clients.sharing import create, open_request, open_share
from tests.support.clients.wire import Line, exchange, request
from tests.support.servers.parts import wait_until
from tests.support.servers.service import ROOT, Service

PARTS = ("gunicorn", "worker")


def _named(service: Service, word: str) -> psutil.Process | None:
    """Return the child of the parent whose command line has `word` in it."""
    children = service.processes()[0].children()
    return next((child for child in children if word in _command(child)), None)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _complete(service: Service) -> bool:
    return all(_named(service, word) for word in PARTS)


def _all_ended(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def _await_end(processes: list[psutil.Process]) -> None:
    def ended() -> bool:
        try:
            return _all_ended(processes)
        except psutil.NoSuchProcess:
            return False  # ended between two looks: look again

    wait_until(ended, "the end of all processes")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("redis", [False, True])
def test_a_signal_ends_everything(
    make_service: MakeService, number: signal.Signals, redis: bool
) -> None:
    service = make_service(redis=redis)
    share = create(service.port, "before")
    wait_until(lambda: _complete(service), "gunicorn and worker")
    processes = service.processes()
    assert service.stop(number) == 0
    _await_end(processes)
    assert "is killed" not in service.logged()
    assert service.tracebacks() == []
    service.start()
    assert open_share(service.port, share).json()["content"] == "before"


#: What `serve` does last, with a signal in the moment before.
BECOME_PARENT = """
import os, signal
from fugata_server import processes
become = os.execv
def signalled(*arguments):
    os.kill(os.getpid(), signal.{name})
    become(*arguments)
os.execv = signalled
processes.become_parent(10.0, "text")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_between_serve_and_the_parent_is_kept(
    make_service: MakeService, name: str
) -> None:
    service = make_service(start=False)
    service.manage("prepare")
    ended = service.run(sys.executable, "-c", BECOME_PARENT.format(name=name))
    assert ended.returncode == 0, ended.stdout
    assert "Traceback" not in ended.stdout


def test_an_opening_in_flight_finishes(make_service: MakeService, any_database: str) -> None:
    """The whole answer arrives, though the service is asked to end as soon as it begins."""
    service = make_service(any_database)
    content = "long " * 2**20
    share = create(service.port, content)
    with Line(service.port) as line:
        line.send(open_request(share))
        # The first bytes of the answer: the share is claimed.
        assert line.socket.recv(1, 2) == b"H"  # MSG_PEEK
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        assert line.answer().json()["content"] == content
    assert service.stop() == 0


def test_a_slow_create_in_flight_finishes(make_service: MakeService) -> None:
    service = make_service()
    data = request("POST", "/secrets", b'{"content": "slow", "duration": "1h"}')
    with Line(service.port) as line:
        line.send(data[:-5])
        exchange(service.port, request("GET", "/livez"))  # gunicorn has read the first by now
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        answer = line.send(data[-5:]).answer()
    assert service.stop() == 0
    assert answer.status == 201
    service.start()
    opened = exchange(service.port, request("GET", f"/secrets/{answer.json()['id']}"))
    assert opened.json()["content"] == "slow"


def test_a_second_start_uses_the_same_keys(make_service: MakeService, any_database: str) -> None:
    service = make_service(any_database)
    shares = [create(service.port, f"content {n}") for n in range(5)]
    keys = _keys(service)
    service.stop()
    service.start()
    assert _keys(service) == keys
    for share in shares:
        assert open_share(service.port, share).json()["content"] == share.content


def _keys(service: Service) -> list[bytes]:
    files = [service.home / name for name in ("keyring", "secret_key")]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    return [file.read_bytes() for file in files]


def test_a_killed_worker_is_started_again(service: Service) -> None:
    wait_until(lambda: _complete(service), "gunicorn and worker")
    killed = _named(service, "worker")
    assert killed
    killed.kill()

    def again() -> bool:
        found = _named(service, "worker")
        return found is not None and found.pid != killed.pid

    wait_until(again, "another worker")
    assert service.is_well()


def test_a_killed_gunicorn_ends_everything(make_service: MakeService) -> None:
    """What starts the service again is its own supervisor's business: it must see the end."""
    service = make_service()
    wait_until(lambda: _complete(service), "gunicorn and worker")
    processes = service.processes()
    master = _named(service, "gunicorn")
    assert master
    assert service.process
    master.kill()
    assert service.process.wait(timeout=30) != 0
    _await_end(processes)
    assert "web ended" in service.logged()


def test_the_children_of_a_killed_parent_end(make_service: MakeService) -> None:
    service = make_service()
    share = create(service.port, "before")
    wait_until(lambda: _complete(service), "gunicorn and worker")
    processes = service.processes()
    assert service.process is not None
    service.process.kill()
    service.process.wait()
    _await_end(processes[1:])
    service.start()
    assert open_share(service.port, share).json()["content"] == "before"


@pytest.fixture
def made(make_service: MakeService) -> Iterator[Callable[[], Service]]:
    """Start the service by `make run`."""
    service = make_service(start=False)

    def start() -> Service:
        with service.log.open("ab") as log:
            service.process = subprocess.Popen(
                ["make", "-s", "run"],
                cwd=ROOT,
                env=service.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        service.wait_until_well()
        return service

    yield start
    if service.process and service.process.poll() is None:
        os.killpg(service.process.pid, signal.SIGTERM)


@pytest.mark.parametrize("to", ["make", "group"])
def test_make_run(made: Callable[[], Service], to: str) -> None:
    """SIGTERM to make alone, and Ctrl-C, which the terminal sends to make and all its group."""
    service = made()
    share = create(service.port, "by make")
    assert open_share(service.port, share).json()["content"] == "by make"
    wait_until(lambda: len(service.processes()) > 4, "all processes")  # make is one
    processes = service.processes()
    assert service.process is not None
    if to == "make":
        service.process.send_signal(signal.SIGTERM)
    else:
        os.killpg(service.process.pid, signal.SIGINT)
    service.process.wait(timeout=30)
    _await_end(processes)
    assert service.tracebacks() == []
