"""kill -9 of the service at each step of what it does with the API server."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.keeping import Keeper, keeper
from tests.support.clients.sharing import (
    Share,
    create,
    create_request,
    delete_request,
    open_request,
    open_share,
)
from tests.support.clients.wire import Line
from tests.support.faults.faulty import FaultyProxy
from tests.support.load.ledger import Stream
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.service import ROOT, Service

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]


@dataclass
class Scene:
    """A service that is killed while the API server owes it an answer."""

    service: Service
    proxy: FaultyProxy
    keep: Keeper
    lines: list[Line] = field(default_factory=list)

    def hold_up(self, kind: str, method: str, *requests: bytes, more: int = 0) -> None:
        """Send requests and return when all of them (and `more` calls) wait in that step."""
        self.proxy.fail(kind, method)
        for data in requests:
            self.lines.append(Line(self.service.port).send(data))
        waiting = len(requests) + more
        self.proxy.wait_until_triggered(waiting)
        if kind == "hold":
            self.proxy.wait_until_held(waiting)

    def kill_and_restart(self) -> None:
        self.service.kill()
        for line in self.lines:
            line.close()
        self.lines.clear()
        self.proxy.heal()
        self.service.start()


@pytest.fixture(scope="module")
def scene(
    kubernetes: KubernetesServer, proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    settings = kubernetes.settings(url=proxy.url) | {"KUBERNETES_TIMEOUT": "60"}
    service = Service(tmp_path_factory.mktemp("scene") / "home", **settings).start()
    yield Scene(service, proxy, keeper(service))
    proxy.heal()
    service.stop()


def settled(scene: Scene, kubernetes: KubernetesServer) -> None:
    """After reconciliation there is a value for each row, and no other."""
    kubernetes.age(scene.service.settings["KUBERNETES_NAMESPACE"])
    scene.service.manage("reconcile_values", "--force")
    rows = stored.count(scene.service, "repositories_app_repositorysecret")
    rows += stored.count(scene.service, "secrets_app_share")
    assert stored.values(scene.service) == rows


def opens(scene: Scene, share: Share) -> None:
    assert open_share(scene.service.port, share).json()["content"] == share.content


@pytest.mark.parametrize("kind", ["hang", "hold"])
def test_while_values_are_written(scene: Scene, kubernetes: KubernetesServer, kind: str) -> None:
    """Before and after the API server has them. Nothing was acknowledged, so nothing is there."""
    kept, old, new = create(scene.service.port, "kept"), f"old-{kind}", f"new-{kind}"
    scene.keep.set(old, "old")
    shares = stored.count(scene.service, "secrets_app_share")
    setting = [scene.keep.set_request(key, "new") for key in (old, new)]
    scene.hold_up(kind, "POST", create_request("never"), *setting)
    scene.kill_and_restart()
    assert stored.count(scene.service, "secrets_app_share") == shares
    assert scene.keep.read(new).status == 404
    assert scene.keep.read(old).json() == {"secret_value": "old"}
    settled(scene, kubernetes)
    assert scene.keep.read(old).json() == {"secret_value": "old"}
    opens(scene, kept)


def test_while_a_value_in_pieces_is_written(scene: Scene, kubernetes: KubernetesServer) -> None:
    before = stored.values(scene.service)
    scene.proxy.fail("hang", "POST", spare=2)
    scene.lines.append(Line(scene.service.port).send(create_request("p" * 4_000_000)))
    scene.proxy.wait_until_triggered()
    scene.kill_and_restart()
    assert stored.values(scene.service) == before + 2
    settled(scene, kubernetes)
    assert stored.values(scene.service) == before


@pytest.mark.parametrize("kind", ["hang", "hold"])
def test_while_values_are_read(scene: Scene, kubernetes: KubernetesServer, kind: str) -> None:
    """Nothing was claimed, so everything is still there."""
    shares = [create(scene.service.port, f"s {n}", one_time=not n) for n in range(2)]
    scene.keep.set("read", kind)
    reading = scene.keep.request("GET", "read")
    # The health probe's question waits too.
    scene.hold_up(kind, "GET", *map(open_request, shares), reading, more=1)
    scene.kill_and_restart()
    assert scene.keep.read("read").json() == {"secret_value": kind}
    settled(scene, kubernetes)
    for share in shares:
        opens(scene, share)


@pytest.mark.parametrize("kind", ["hang", "hold"])
def test_while_values_are_deleted(scene: Scene, kubernetes: KubernetesServer, kind: str) -> None:
    """The rows have gone: an open in flight counts as handed out, and what was set is there."""
    opened, deleted = (create(scene.service.port, f"s {n}") for n in range(2))
    kept = create(scene.service.port, "kept")
    for key in ("replaced", "removed"):
        scene.keep.set(key, "old")
    acts = [open_request(opened), delete_request(deleted)]
    acts += [scene.keep.set_request("replaced", kind), scene.keep.request("DELETE", "removed")]
    scene.hold_up(kind, "DELETE", *acts)
    scene.kill_and_restart()
    for share in (opened, deleted):
        assert open_share(scene.service.port, share).status == 404
    assert scene.keep.read("removed").status == 404
    assert scene.keep.read("replaced").json() == {"secret_value": kind}
    settled(scene, kubernetes)
    assert scene.keep.read("replaced").json() == {"secret_value": kind}
    opens(scene, kept)


@pytest.mark.parametrize("kind", ["hang", "hold"])
def test_while_expired_shares_are_purged(
    scene: Scene, kubernetes: KubernetesServer, kind: str
) -> None:
    shares = [create(scene.service.port, f"s {n}") for n in range(5)]
    kept = create(scene.service.port, "kept")
    past = "UPDATE secrets_app_share SET expires_at = '2020-01-01 00:00:00' WHERE digest = ?"
    for share in shares:
        stored.query(scene.service, past, sha256(share.id.encode()).digest())
    scene.proxy.fail(kind, "DELETE")
    environment, command = scene.service.environment, [sys.executable, "manage.py", "purge_expired"]
    purge = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    scene.proxy.wait_until_triggered()
    purge.send_signal(signal.SIGKILL)
    purge.wait()
    scene.proxy.heal()
    for share in shares:
        assert open_share(scene.service.port, share).status == 404
    settled(scene, kubernetes)
    opens(scene, kept)


@pytest.mark.soak
def test_a_stream_of_kills(
    make_service: MakeService, kubernetes: KubernetesServer, rounds: int
) -> None:
    """At no step in particular, over many requests."""
    service = make_service("postgresql", redis=True, store="kubernetes", WEB_CONCURRENCY="3")
    streams = []
    for _ in range(max(rounds // 15, 1)):
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(Stream(service))
            stream.await_more(100)
            service.kill()
        streams.append(stream)
        service.start()
    for stream in streams:
        stream.settle()
    kubernetes.age(service.settings["KUBERNETES_NAMESPACE"])
    service.manage("reconcile_values", "--force")
    assert stored.values(service) == stored.count(service, "secrets_app_share")
