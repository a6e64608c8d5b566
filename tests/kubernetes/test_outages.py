"""The API server itself is killed, and hangs; the service goes on by itself when it is back."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.keeping import keeper
from tests.support.clients.sharing import create, create_request, delete_request, open_share
from tests.support.clients.wire import exchange
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.parts import plain_http, wait_until
from tests.support.servers.service import Service

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

UNWELL = (503, {"status": "unhealthy", "error": "Value store unavailable"})


@pytest.fixture(scope="module")
def fragile() -> Iterator[KubernetesServer]:
    """A Kubernetes API server that these tests kill and freeze."""
    server = KubernetesServer()
    yield server
    server.close()


Act = Callable[[KubernetesServer], None]
OUTAGES: dict[str, tuple[Act, Act]] = {
    "killed": (KubernetesServer.kill, KubernetesServer.start),
    "hanging": (KubernetesServer.freeze, KubernetesServer.thaw),
}


def _unwell(service: Service) -> bool:
    answer = plain_http.get(f"{service.url}/healthz", timeout=2)
    return (answer.status_code, answer.json()) == UNWELL


@pytest.mark.parametrize("how", OUTAGES)
def test_an_outage(make_service: MakeService, fragile: KubernetesServer, how: str) -> None:
    begin, end = OUTAGES[how]
    settings: dict[str, Any] = fragile.settings()
    service = make_service(**settings, KUBERNETES_TIMEOUT="2")
    keep = keeper(service)
    share, doomed = create(service.port, "before"), create(service.port, "doomed")
    keep.set("key", "value")
    begin(fragile)
    wait_until(lambda: _unwell(service), "a service that is not well")
    assert plain_http.get(f"{service.url}/livez", timeout=2).status_code == 200
    assert exchange(service.port, create_request("never")).status == 500
    assert open_share(service.port, share).status == 500
    assert keep.read("key").status == 500
    assert keep.set("key", "new").status == 500
    assert exchange(service.port, delete_request(doomed)).status == 200
    assert keep.remove("nowhere").status == 404
    assert keep.list().json() == ["key"]
    assert _unwell(service)
    end(fragile)
    service.wait_until_well()
    assert open_share(service.port, share).json()["content"] == "before"
    assert open_share(service.port, doomed).status == 404
    assert keep.read("key").json() == {"secret_value": "value"}
    assert keep.set("key", "new").status == 201
    create(service.port, "after")
    fragile.age(service.settings["KUBERNETES_NAMESPACE"])
    service.manage("reconcile_values", "--force")
    assert stored.values(service) == 2
    assert service.tracebacks() == []


@pytest.mark.parametrize("how", OUTAGES)
def test_a_start_during_an_outage(
    make_service: MakeService, fragile: KubernetesServer, how: str
) -> None:
    """It starts, says that it is not well, and needs nobody when that is over."""
    begin, end = OUTAGES[how]
    settings: dict[str, Any] = fragile.settings()
    begin(fragile)
    service = make_service(start=False, **settings, KUBERNETES_TIMEOUT="2").start(wait=False)
    try:
        wait_until(lambda: _answers(service) and _unwell(service), "a service that is not well")
    finally:
        end(fragile)
    service.wait_until_well()
    create(service.port, "after")


def _answers(service: Service) -> bool:
    try:
        return plain_http.get(f"{service.url}/livez", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
