"""The head of the trail in a ConfigMap, on a real API server, with the worker's own rights."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from audit_app import chain
from audit_app.chain import Head
from audit_app.errors import HeadUnavailable
from audit_app.models import AuditEvent
from operations_app.audit_head import ConfigMapHead
from tests.audit_app.support import events, sealed
from tests.audit_app.test_command import audit
from tests.support.faults.faulty import FaultyProxy
from tests.support.servers.kubernetes import (
    SERVICE_TOKEN,
    WORKER_TOKEN,
    Json,
    KubernetesServer,
)

pytestmark = pytest.mark.processes

PATH = "/api/v1/namespaces/fugata/configmaps/audit-head"


@pytest.fixture(autouse=True)
def empty(kubernetes: KubernetesServer) -> Iterator[None]:
    """The object as it is shipped, before and after."""
    _write(kubernetes, {})
    yield
    _write(kubernetes, {})


def _read(kubernetes: KubernetesServer) -> Json:
    found: Json = kubernetes.admin.get(PATH).json()
    return found


def _write(kubernetes: KubernetesServer, data: dict[str, str]) -> None:
    found = _read(kubernetes) | {"data": data}
    assert kubernetes.admin.put(PATH, json=found).status_code == 200


def store(
    kubernetes: KubernetesServer, token: str = WORKER_TOKEN, url: str | None = None
) -> ConfigMapHead:
    """Return the store as a pod's identity uses it."""
    return ConfigMapHead("audit-head", "fugata", str(kubernetes.kubeconfig(token, url)))


def at(position: int) -> Head:
    return Head(position, bytes([position % 256]) * 32)


def test_it_keeps_the_latest(kubernetes: KubernetesServer) -> None:
    ours = store(kubernetes)
    assert ours.read() is None
    for position in (3, 5, 4):
        ours.keep(at(position))
    assert ours.read() == at(5)
    ours.replace(at(2))
    assert ours.read() == at(2)
    assert _read(kubernetes)["data"]["head"].endswith(str(at(2)))


def test_what_others_put_there_stays(kubernetes: KubernetesServer) -> None:
    _write(kubernetes, {"other": "as it was"})
    store(kubernetes).keep(at(1))
    assert _read(kubernetes)["data"]["other"] == "as it was"
    assert _read(kubernetes)["metadata"]["labels"] == {"app.kubernetes.io/name": "fugata"}


def test_applying_the_manifests_again_keeps_it(kubernetes: KubernetesServer) -> None:
    store(kubernetes).keep(at(7))
    from tests.support.servers.kubernetes import MANIFESTS

    kubernetes.kubectl("apply", f"--filename={MANIFESTS / 'base/audit-head.yaml'}")
    assert store(kubernetes).read() == at(7)


def test_nobody_else_may(kubernetes: KubernetesServer) -> None:
    theirs = store(kubernetes, SERVICE_TOKEN)
    for act in (theirs.read, lambda: theirs.keep(at(1)), lambda: theirs.replace(at(1))):
        with pytest.raises(HeadUnavailable, match="403") as caught:
            act()
        assert "The worker alone may" in str(caught.value)
    assert _read(kubernetes).get("data") is None


def test_many_that_keep_at_once_never_go_back(kubernetes: KubernetesServer) -> None:
    def keep(first: int) -> None:
        ours = store(kubernetes)
        for position in range(first, first + 4 * 10, 4):
            ours.keep(at(position))

    each = [threading.Thread(target=keep, args=(n,)) for n in range(1, 5)]
    for thread in each:
        thread.start()
    seen, watching = [0], store(kubernetes)
    while any(thread.is_alive() for thread in each):
        kept = watching.read()
        seen.append(kept.position if kept else 0)
    assert seen == sorted(seen)
    assert watching.read() == at(40)


FAULTS: list[tuple[str, dict[str, Any]]] = [
    *[("answer", {"status": status}) for status in (403, 404, 500, 503)],
    ("hang", {}),
    ("drip", {}),
    ("reset", {}),
]


@pytest.mark.parametrize(("fault", "more"), FAULTS)
def test_an_api_server_that_fails(
    kubernetes: KubernetesServer,
    faulty: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    more: dict[str, Any],
) -> None:
    monkeypatch.setattr("operations_app.audit_head.TIMEOUT", 2.0)
    store(kubernetes).keep(at(3))
    ours = store(kubernetes, url=faulty.url)
    faulty.fail(fault, **more)
    with pytest.raises(HeadUnavailable, match="AUDIT_HEAD_CONFIGMAP"):
        ours.read()
    faulty.heal()
    assert ours.read() == at(3)


def test_an_answer_that_is_lost(kubernetes: KubernetesServer, faulty: FaultyProxy) -> None:
    """It was kept, and the next attempt sees that."""
    ours = store(kubernetes, url=faulty.url)
    faulty.fail("lose", "PUT", times=1)
    ours.keep(at(3))
    assert store(kubernetes).read() == at(3)


@pytest.mark.django_db
def test_the_trail_goes_by_it(kubernetes: KubernetesServer, settings: Settings) -> None:
    options = {"name": "audit-head", "namespace": "fugata"}
    options |= {"kubeconfig": str(kubernetes.kubeconfig(WORKER_TOKEN))}
    settings.AUDIT_HEAD = {"BACKEND": "operations_app.audit_head.ConfigMapHead", "OPTIONS": options}
    head = sealed(4)
    assert store(kubernetes).read() == head
    assert "position 4 that the ConfigMap audit-head keeps" in audit("verify")
    AuditEvent.objects.filter(position__gt=2).delete()
    with pytest.raises(CommandError, match="position 4 was published"):
        audit("verify")
    events(1)
    with pytest.raises(CommandError, match="Position 4 was sealed, as the ConfigMap audit-head"):
        audit("seal")
    audit("reset-head")
    assert AuditEvent.objects.get(kind="head reset").position == 4
    assert store(kubernetes).read() == chain.head()
    settings.AUDIT_HEAD["OPTIONS"]["kubeconfig"] = str(kubernetes.kubeconfig(SERVICE_TOKEN))
    with pytest.raises(CommandError, match="The worker alone may"):
        audit("verify")


def test_outside_a_pod(kubernetes: KubernetesServer) -> None:
    with pytest.raises(HeadUnavailable, match="no pod with a service account's token"):
        ConfigMapHead("audit-head", kubeconfig=str(kubernetes.kubeconfig())).read()
