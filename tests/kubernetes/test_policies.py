"""Policies of the cluster that change or refuse objects, by a real API server."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from fugata_core.errors import InternalError
from repositories_app.actions.secrets import read_secret, set_secret
from tests.repositories_app.support import opened, people
from tests.support.in_process.stores import kubernetes_store, set_options
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.parts import wait_until
from vault_app.errors import StoreUnavailable
from vault_app.stores.kubernetes import KubernetesStore

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120),
]

POLICIES = "/apis/admissionregistration.k8s.io/v1"
Json = dict[str, Any]
Apply = Callable[[str, Json], None]


def _matches(namespace: str) -> Json:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["secrets"],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {"resourceRules": [rule], "namespaceSelector": selector}


@pytest.fixture
def apply(kubernetes: KubernetesServer, kubernetes_namespace: str) -> Iterator[Apply]:
    """Make a policy of a kind, for the test's namespace, and wait until it is in force."""
    made: list[str] = []

    def applied(kind: str, spec: Json) -> None:
        name = f"{kubernetes_namespace}-{len(made)}"
        spec = {"failurePolicy": "Fail", "matchConstraints": _matches(kubernetes_namespace)} | spec
        binding: Json = {"policyName": name}
        if kind == "validating":
            binding["validationActions"] = ["Deny"]
        for what, content in (("policies", spec), ("policybindings", binding)):
            path = f"{POLICIES}/{kind}admission{what}"
            kubernetes.create(path, {"metadata": {"name": name}, "spec": content})
            made.append(f"{path}/{name}")
        wait_until(
            lambda: _tried(kubernetes, kubernetes_namespace) != PLAIN, "a policy in force", 60
        )

    yield applied
    for path in made:
        kubernetes.admin.delete(path)


#: What becomes of an object that no policy touches.
PLAIN: Json = {"code": 201, "data": {"sealed": "AAAA"}, "labels": {"a": "b"}, "immutable": True}


def _tried(kubernetes: KubernetesServer, namespace: str) -> Json:
    """Return what would become of an object, without making it."""
    manifest = {"metadata": {"name": "tried", "labels": {"a": "b"}}, "data": PLAIN["data"]}
    path = f"/api/v1/namespaces/{namespace}/secrets?dryRun=All"
    answer: httpx.Response = kubernetes.admin.post(path, json=manifest | {"immutable": True})
    made = answer.json()
    shown = {name: made.get(name) for name in ("data", "immutable")}
    return {"code": answer.status_code, "labels": made["metadata"].get("labels"), **shown}


def mutation(*operations: str) -> Json:
    """Return a mutating policy of JSON patches (in CEL)."""
    expression = f"[{', '.join(operations)}]"
    patch = {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}
    return {"reinvocationPolicy": "Never", "mutations": [patch]}


CHANGES = {
    "data": 'JSONPatch{op: "replace", path: "/data/sealed", value: "QUJD"}',
    "data, more": 'JSONPatch{op: "add", path: "/data/other", value: "QUJD"}',
    "immutability": 'JSONPatch{op: "replace", path: "/immutable", value: false}',
    "labels": 'JSONPatch{op: "replace", path: "/metadata/labels", value: {"mine": "now"}}',
}


@pytest.mark.usefixtures("kubernetes_namespace")
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_policy_changes_replaces_nothing(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    apply: Apply,
    change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    people()
    set_secret(opened(), "k", "old", SERVICE)
    before = kubernetes.names(kubernetes_namespace)
    apply("mutating", mutation(CHANGES[change]))
    with pytest.raises(InternalError):
        set_secret(opened(), "k", "new", SERVICE)
    assert f"the cluster changed the {change.partition(',')[0]} of an object" in caplog.text
    assert read_secret(opened(), "k", SERVICE) == b"old"
    assert kubernetes.names(kubernetes_namespace) == before, "nothing is left behind"


def test_a_policy_that_adds_labels_is_none_of_our_business(
    store: KubernetesStore, apply: Apply
) -> None:
    added = 'JSONPatch{op: "add", path: "/metadata/labels/team", value: "payments"}'
    apply("mutating", mutation(added))
    name = store.new_name(6)
    store.put(name, b"sealed")
    assert store.get(name) == b"sealed"


LABELS_DEMANDED = {
    "validations": [
        {
            "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels"
            " && has(object.metadata.annotations) && 'owner' in object.metadata.annotations",
            "messageExpression": "'say whose it is: ' + object.metadata.name",
        }
    ]
}


def test_why_a_policy_refuses_is_said_without_the_name(
    store: KubernetesStore, apply: Apply, caplog: pytest.LogCaptureFixture
) -> None:
    apply("validating", LABELS_DEMANDED)
    name = store.new_name(6)
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailable) as raised:
        store.put(name, b"sealed")
    said = str(raised.value)
    assert "answered 422 to a POST: Invalid" in said
    assert "denied request: say whose it is: …" in said
    assert name not in said + caplog.text


def test_labels_and_annotations_of_the_company_s_own(
    kubernetes: KubernetesServer, kubernetes_namespace: str, apply: Apply, settings: Settings
) -> None:
    set_options(settings, labels={"team": "payments"}, annotations={"owner": "Ann, of Payments"})
    apply("validating", LABELS_DEMANDED)
    store = kubernetes_store()
    store.put(store.new_name(3 * 2**20), bytes(3 * 2**20))
    kept = kubernetes.secrets(kubernetes_namespace)
    assert len(kept) == 3
    for each in kept:
        assert each["metadata"]["labels"]["team"] == "payments"
        assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "fugata"
        assert each["metadata"]["annotations"] == {"owner": "Ann, of Payments"}
