"""What keeps processes small: each loads what it uses, and what was loaded is shared by forking."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from fugata_server.processes import WEB, WORKER
from tests.conftest import MakeService
from tests.support.clients.sharing import create, create_request, open_share
from tests.support.clients.wire import Answer, request, volley
from tests.support.servers.parts import free_port, wait_until
from tests.support.servers.service import ROOT, Service, running

#: What no process loads that has the default settings.
OTHERS = {"boto3", "botocore", "hvac", "kubernetes", "redis", "drf_spectacular"}
ADMIN = {"operations_app.admin", "operations_app.console.site", "secrets_app.admin"}
ADMIN |= {"repositories_app.admin"}
QUEUE = {"celery", "kombu", "billiard"}
WEB_MODULES = {"rest_framework", "gunicorn", "fugata_site.urls", "whitenoise"}


def loaded(service: Service, name: str = "modules") -> set[str]:
    """Return what a process listed when it ended, or before it was forked (`shared`)."""
    return set((service.home / name).read_text().splitlines())


def test_the_supervisor_loads_neither_django_nor_the_settings() -> None:
    program = "import sys, fugata_server.processes; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = set(said.stdout.split())
    assert "fugata_server.supervisor" in found
    large = {"django", "celery", "gunicorn", "environs", "fugata_site.settings"}
    assert found & large == set()


def test_the_worker_s_probe_loads_next_to_nothing() -> None:
    program = "import sys, fugata_server.heartbeat; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(said.stdout.split()) & {"django", "celery"} == set()


def test_the_web_loads_what_requests_use(make_service: MakeService) -> None:
    service = make_service(start=False)
    service.manage("prepare")
    made = service.manage("create_repository", "mine", "--owner", "me", "--token")
    token = {"Authorization": f"Bearer {made.stdout.strip()}"}
    conf = ["-c", "python:tests.support.servers.listing_web", "fugata_site.wsgi:application"]
    with running(service, [sys.executable, "-m", "gunicorn", *conf]):
        service.wait_until_well()
        share = create(service.port)
        with httpx.Client(base_url=service.url) as client:
            body = {"secret_key": "KEY", "secret_value": "value"}
            secrets = "/repositories/mine/secrets"
            assert client.post(secrets, json=body, headers=token).status_code == 201
            assert client.get(f"{secrets}/KEY", headers=token).status_code == 200
            for page in ("/", f"/s/{share.id}", "/static/fugata.css"):
                assert client.get(page, headers={"Accept": "text/html"}).status_code == 200
            assert client.get("/nothing").status_code == 404
        assert open_share(service.port, share).status == 200
    assert loaded(service, "shared") >= WEB_MODULES
    assert loaded(service) & (OTHERS | ADMIN | QUEUE) == set()


def test_the_worker_loads_what_tasks_use(make_service: MakeService) -> None:
    service = make_service(start=False)
    service.manage("prepare")
    more = ["--with-beat", "--include", "tests.support.servers.listing_worker"]
    with running(service, [*WORKER, *more]):
        wait_until((service.home / "worker-heartbeat").exists, "a working worker")
    assert loaded(service) >= QUEUE
    assert loaded(service) & (OTHERS | ADMIN | WEB_MODULES) == set()


def test_what_is_loaded_late_is_loaded_once(make_service: MakeService) -> None:
    """The first requests to the admin and to the description come all at once."""
    service = make_service()
    places = ["/admin/login/", "/docs", "/openapi.json", "/admin", "/admin/nothing/"]
    answers = volley(service.port, [request("GET", place) for place in places * 6])
    assert [answer.status for answer in answers] == [200, 200, 200, 302, 302] * 6
    assert service.tracebacks() == []


def _sockets(process: psutil.Process) -> set[str]:
    """Return the sockets that a process holds, each by the name that it has everywhere."""
    held = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
    return {name for name in held if name.startswith("socket:")}


def _mapped(process: psutil.Process, folder: Path) -> set[str]:
    """Return the files of `folder` that are in a process's memory."""
    maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    return {line.split()[-1] for line in maps if str(folder) in line}


def _all_apart(service: Service, master: psutil.Process) -> bool:
    """Return whether each worker has sockets of its own, and files of its own to count in."""
    volley(service.port, [request("GET", "/")] * 30)
    workers = master.children()
    own = [_sockets(worker) - _sockets(master) for worker in workers]
    files = [_mapped(worker, service.home) for worker in workers]
    counted = [{Path(name).stem.rpartition("_")[2] for name in names} for names in files]
    assert len(set.union(*own)) == sum(map(len, own)), "two workers have one socket"
    return all(own) and counted == [{str(worker.pid)} for worker in workers]


def _few_creates(service: Service) -> list[Answer]:
    """Create six shares at once: a process has places for more, so that none is refused."""
    return volley(service.port, [create_request("s3cret")] * 6)


def test_listeners_alone_are_shared_with_a_forked_worker(
    make_service: MakeService,
) -> None:
    """No connection to the database or to Redis, and no file of what a process counts."""
    settings = {"WEB_CONCURRENCY": "3", "METRICS_PORT": str(free_port())}
    service = make_service("postgresql", redis=True, start=False)
    service.settings |= settings
    service.manage("prepare")
    with running(service, WEB) as service.process:
        service.wait_until_well()
        made = [answer.json()["id"] for _ in range(15) for answer in _few_creates(service)]
        assert len(set(made)) == 90
        master = psutil.Process(service.process.pid)
        assert {each.status for each in master.net_connections("all")} == {psutil.CONN_LISTEN}
        wait_until(lambda: len(master.children()) == 3, "three workers")
        wait_until(lambda: _all_apart(service, master), "connections and counts of each worker")
