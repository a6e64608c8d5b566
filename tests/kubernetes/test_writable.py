"""Nothing can be stored, though all can be read: health says so, and recovers by itself."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import MakeService
from tests.support.clients.sharing import create, create_request, open_share
from tests.support.clients.wire import exchange
from tests.support.servers.kubernetes import ADMIN_TOKEN, KubernetesServer
from tests.support.servers.parts import plain_http, wait_until
from tests.support.servers.policies import Policies, validation
from tests.support.servers.service import Service

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

UNWELL = (503, {"status": "unhealthy", "error": "Value store can't be written to"})
CORE = "/api/v1/namespaces"


@pytest.fixture(scope="module")
def fragile() -> Iterator[KubernetesServer]:
    """A Kubernetes API server of these tests' own, whose etcd they fill."""
    server = KubernetesServer()
    yield server
    server.close()


def _is_unwell(service: Service) -> bool:
    answer = plain_http.get(f"{service.url}/healthz", timeout=2)
    return (answer.status_code, answer.json()) == UNWELL


Change = Callable[[KubernetesServer, str], None]


def _refuse(server: KubernetesServer, namespace: str) -> None:
    Policies(server, namespace).apply("validating", validation("false", "'not on Fridays'"))


def _terminate(server: KubernetesServer, namespace: str) -> None:
    """Have it deleted, and never be gone: the controller that would finish does not run."""
    assert server.admin.delete(f"{CORE}/{namespace}").status_code == 200


def _fill(server: KubernetesServer, namespace: str) -> None:
    server.set_full(True)


#: How writing ends, and what the log says of it.
ENDINGS: dict[str, tuple[Change, str]] = {
    "a policy": (_refuse, "denied request: not on Fridays"),
    "a namespace that is being deleted": (_terminate, "is being terminated"),
    "a full disk": (_fill, "database space exceeded"),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_writing_ends(make_service: MakeService, fragile: KubernetesServer, how: str) -> None:
    end, said = ENDINGS[how]
    settings: dict[str, Any] = fragile.settings()
    service = make_service(**settings, KUBERNETES_TIMEOUT="2")
    share = create(service.port, "before")
    end(fragile, settings["KUBERNETES_NAMESPACE"])
    try:
        for _ in range(3):
            assert exchange(service.port, create_request("never")).status == 500
        wait_until(lambda: _is_unwell(service), "a service that is not well")
        assert said in service.logged()
        assert "health: Value store can't be written to (the Kubernetes API" in service.logged()
        assert open_share(service.port, share).json()["content"] == "before"
        assert _is_unwell(service)
        assert plain_http.get(f"{service.url}/readyz").json() == {"status": "ok"}
    finally:
        fragile.set_full(False)
    assert service.tracebacks() == []


def test_a_policy_that_ends(make_service: MakeService, fragile: KubernetesServer) -> None:
    settings: dict[str, Any] = fragile.settings()
    service = make_service(**settings)
    policies = Policies(fragile, settings["KUBERNETES_NAMESPACE"])
    policies.apply("validating", validation("false"))
    for _ in range(3):
        assert exchange(service.port, create_request("never")).status == 500
    wait_until(lambda: _is_unwell(service), "a service that is not well")
    policies.remove()
    service.wait_until_well()
    create(service.port, "after")
    assert len(fragile.names(settings["KUBERNETES_NAMESPACE"])) == 1, "what it tried is deleted"


def test_a_namespace_that_is_not_there(
    make_service: MakeService, fragile: KubernetesServer
) -> None:
    """It starts, says at once that it is not well and why, and is as soon as there is one."""
    settings: dict[str, Any] = fragile.settings("not-there-yet")
    # A Role can't be in a namespace that is not there: who may read in all of them is told so.
    settings["KUBECONFIG"] = str(fragile.kubeconfig(ADMIN_TOKEN))
    service = make_service(start=False, **settings).start(wait=False)
    wait_until(lambda: "health: Value store can't be written to" in service.logged(), "the reason")
    assert "does the namespace that KUBERNETES_NAMESPACE names exist?" in service.logged()
    assert _is_unwell(service)
    fragile.new_namespace("not-there-yet")
    service.wait_until_well()
    create(service.port, "after")
