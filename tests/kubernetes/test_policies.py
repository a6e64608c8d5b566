"""Policies of the cluster that change or refuse objects, by a real API server."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from fugata_core.errors import InternalError
from repositories_app.actions.secrets import read_secret, set_secret
from tests.repositories_app.support import opened, people
from tests.support.faults.faulty import FaultyProxy
from tests.support.in_process.stores import kubernetes_store, set_options
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.policies import Policies, validation
from vault_app.errors import StoreUnavailable
from vault_app.stores.kubernetes import KubernetesStore

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120),
]


@pytest.fixture
def policies(kubernetes: KubernetesServer, kubernetes_namespace: str) -> Iterator[Policies]:
    """The policies of the test's namespace; they end with it."""
    made = Policies(kubernetes, kubernetes_namespace)
    yield made
    made.remove()


def mutation(*operations: str) -> dict[str, Any]:
    """Return a mutating policy of JSON patches (in CEL)."""
    expression = f"[{', '.join(operations)}]"
    patch = {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}
    return {"reinvocationPolicy": "Never", "mutations": [patch]}


CHANGES = {
    "data": 'JSONPatch{op: "replace", path: "/data/sealed", value: "QUJD"}',
    "immutability": 'JSONPatch{op: "replace", path: "/immutable", value: false}',
    "labels": 'JSONPatch{op: "replace", path: "/metadata/labels", value: {"mine": "now"}}',
}


@pytest.mark.usefixtures("kubernetes_namespace")
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_policy_changes_replaces_nothing(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    policies: Policies,
    change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    people()
    set_secret(opened(), "k", "old", SERVICE)
    before = kubernetes.names(kubernetes_namespace)
    policies.apply("mutating", mutation(CHANGES[change]))
    with pytest.raises(InternalError):
        set_secret(opened(), "k", "new", SERVICE)
    assert f"the cluster changed the {change} of an object" in caplog.text
    assert read_secret(opened(), "k", SERVICE) == b"old"
    assert kubernetes.names(kubernetes_namespace) == before, "nothing is left behind"


@pytest.mark.parametrize("change", CHANGES)
def test_what_can_not_be_deleted_either(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    policies: Policies,
    change: str,
) -> None:
    """The cause is said, and a trial leaves nothing behind."""
    policies.apply("mutating", mutation(CHANGES[change]))
    faulty.fail("answer", "DELETE", status=403)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"changed the {change}"):
            faulty_store.check_writable()
    assert kubernetes.names(kubernetes_namespace) == []
    with pytest.raises(StoreUnavailable, match=f"changed the {change}"):
        faulty_store.put(faulty_store.new_name(6), b"sealed")


def test_a_trial_of_a_store_that_deletes_nothing_is_one_object(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
) -> None:
    faulty.fail("answer", "DELETE", status=403)
    for _ in range(3):
        faulty_store.check_writable()
    assert len(kubernetes.names(kubernetes_namespace)) == 1
    faulty.heal()
    faulty_store.check_writable()
    assert kubernetes.names(kubernetes_namespace) == []


@pytest.mark.parametrize("where", ["/metadata/labels/team", "/data/other"])
def test_what_a_policy_adds_is_none_of_our_business(
    store: KubernetesStore, policies: Policies, where: str
) -> None:
    policies.apply("mutating", mutation(f'JSONPatch{{op: "add", path: "{where}", value: "QUJD"}}'))
    name = store.new_name(6)
    store.put(name, b"sealed")
    store.put(name, b"sealed")
    assert store.get(name) == b"sealed"


LABELS_DEMANDED = validation(
    "has(object.metadata.labels) && 'team' in object.metadata.labels"
    " && has(object.metadata.annotations) && 'owner' in object.metadata.annotations",
    "'say whose it is: ' + object.metadata.name",
)


def test_why_a_policy_refuses_is_said_without_the_name(
    store: KubernetesStore, policies: Policies, caplog: pytest.LogCaptureFixture
) -> None:
    policies.apply("validating", LABELS_DEMANDED)
    name = store.new_name(6)
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailable) as raised:
        store.put(name, b"sealed")
    said = str(raised.value)
    assert "answered 422 to a POST: Invalid" in said
    assert "denied request: say whose it is: …" in said
    assert name not in said + caplog.text


def test_labels_and_annotations_of_the_company_s_own(
    kubernetes: KubernetesServer, kubernetes_namespace: str, policies: Policies, settings: Settings
) -> None:
    labels = {"team": "payments", "app.kubernetes.io/managed-by": "another program"}
    set_options(settings, labels=labels, annotations={"owner": "Ann, of Payments"})
    policies.apply("validating", LABELS_DEMANDED)
    store = kubernetes_store()
    store.put(store.new_name(3 * 2**20), bytes(3 * 2**20))
    kept = kubernetes.secrets(kubernetes_namespace)
    assert len(kept) == 3
    for each in kept:
        assert each["metadata"]["labels"]["team"] == "payments"
        assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "fugata"
        assert each["metadata"]["annotations"] == {"owner": "Ann, of Payments"}


def test_who_takes_no_dry_runs_has_values_stored_all_the_same(
    faulty_store: KubernetesStore, faulty: FaultyProxy
) -> None:
    """A webhook that has effects of its own, or a proxy."""
    faulty.fail("answer", "POST", status=400, times=1)
    faulty_store.check_writable()
    assert [seen.method for seen in faulty.seen] == ["POST", "DELETE"]
    faulty.fail("answer", "POST", status=400)
    with pytest.raises(StoreUnavailable, match="answered 400 to a POST"):
        faulty_store.check_writable()
