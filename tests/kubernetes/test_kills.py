"""kill -9 of the service at each step of what it does with the API server."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.conftest import MakeService
from tests.support import stored
from tests.support.faulty import FaultyProxy
from tests.support.keeping import Keeper, keeper
from tests.support.kubernetes import KubernetesServer
from tests.support.ledger import Stream
from tests.support.service import ROOT, Service
from tests.support.sharing import (
    Share,
    create,
    create_request,
    delete_request,
    open_request,
    open_share,
)
from tests.support.wire import Line

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
        self.proxy.wait_until_struck(waiting)
        if kind == "hold":
            self.proxy.wait_until_held(waiting)

    def kill_and_restart(self) -> None:
        self.service.kill()
        for line in self.lines:
            line.close()
        self.lines.clear()
        self.proxy.mend()
        self.service.start()


@pytest.fixture
def scene(
    make_service: MakeService, kubernetes: KubernetesServer, faulty: FaultyProxy
) -> Iterator[Scene]:
    settings = kubernetes.settings(url=faulty.url) | {"KUBERNETES_TIMEOUT": "60"}
    service = make_service(**settings)
    yield Scene(service, faulty, keeper(service))
    faulty.mend()


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
    kept = create(scene.service.port, "kept")
    scene.keep.set("old", "old")
    creating = create_request("never")
    setting = [scene.keep.set_request(key, "new") for key in ("old", "new")]
    scene.hold_up(kind, "POST", creating, *setting)
    scene.kill_and_restart()
    assert stored.count(scene.service, "secrets_app_share") == 1
    assert scene.keep.list().json() == ["old"]
    assert scene.keep.read("old").json() == {"secret_value": "old"}
    settled(scene, kubernetes)
    assert scene.keep.read("old").json() == {"secret_value": "old"}
    opens(scene, kept)


def test_while_a_value_in_pieces_is_written(scene: Scene, kubernetes: KubernetesServer) -> None:
    scene.proxy.fail("hang", "POST", spare=2)
    scene.lines.append(Line(scene.service.port).send(create_request("p" * 4_000_000)))
    scene.proxy.wait_until_struck()
    scene.kill_and_restart()
    assert stored.values(scene.service) == 2
    settled(scene, kubernetes)
    assert stored.values(scene.service) == 0


@pytest.mark.parametrize("kind", ["hang", "hold"])
def test_while_values_are_read(scene: Scene, kubernetes: KubernetesServer, kind: str) -> None:
    """Nothing was claimed, so everything is still there."""
    shares = [create(scene.service.port, f"s {n}", one_time=not n) for n in range(2)]
    scene.keep.set("key", "value")
    reading = scene.keep.request("GET", "key")
    # The health probe's question waits too.
    scene.hold_up(kind, "GET", *map(open_request, shares), reading, more=1)
    scene.kill_and_restart()
    assert scene.keep.read("key").json() == {"secret_value": "value"}
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
    acts += [scene.keep.set_request("replaced", "new"), scene.keep.request("DELETE", "removed")]
    scene.hold_up(kind, "DELETE", *acts)
    scene.kill_and_restart()
    for share in (opened, deleted):
        assert open_share(scene.service.port, share).status == 404
    assert scene.keep.list().json() == ["replaced"]
    assert scene.keep.read("replaced").json() == {"secret_value": "new"}
    settled(scene, kubernetes)
    assert scene.keep.read("replaced").json() == {"secret_value": "new"}
    opens(scene, kept)


@pytest.mark.parametrize("kind", ["hang", "hold"])
def test_while_expired_shares_are_purged(
    scene: Scene, kubernetes: KubernetesServer, kind: str
) -> None:
    shares = [create(scene.service.port, f"s {n}") for n in range(5)]
    kept = create(scene.service.port, "kept")
    digests = "SELECT digest FROM secrets_app_share ORDER BY id LIMIT 5"
    past = "UPDATE secrets_app_share SET expires_at = '2020-01-01 00:00:00'"
    stored.query(scene.service, f"{past} WHERE digest IN ({digests})")
    scene.proxy.fail(kind, "DELETE")
    environment, command = scene.service.environment, [sys.executable, "manage.py", "purge_expired"]
    purge = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    scene.proxy.wait_until_struck()
    purge.send_signal(signal.SIGKILL)
    purge.wait()
    scene.proxy.mend()
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
