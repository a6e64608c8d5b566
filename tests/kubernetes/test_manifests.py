"""The shipped manifests: the rights that they give are the least."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from pytest_django.fixtures import Settings

from tests.support.servers.kubernetes import (
    MANIFESTS,
    SERVICE_TOKEN,
    SERVICE_USER,
    SHIPPED,
    VALUES,
    WORKER_TOKEN,
    WORKER_USER,
    Json,
    KubernetesServer,
)
from tests.support.servers.parts import wait_until
from vault_app.errors import StoreUnavailable
from vault_app.stores.kubernetes import KubernetesStore

pytestmark = pytest.mark.processes


def documents() -> Iterator[tuple[str, Json]]:
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield str(path.relative_to(MANIFESTS)), document


DOCUMENTS = list(documents())


def shipped(kind: str, name: str) -> Json:
    (found,) = [
        each
        for path, each in DOCUMENTS
        if path in SHIPPED and (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def test_the_role_says_nothing_but_secrets() -> None:
    role = shipped("Role", "fugata-values")
    assert role["metadata"]["namespace"] == VALUES
    (rule,) = role["rules"]
    assert rule["apiGroups"] == [""]
    assert rule["resources"] == ["secrets"]
    assert sorted(rule["verbs"]) == ["create", "delete", "get", "list"]
    assert not [d for _, d in DOCUMENTS if d["kind"].startswith("Cluster")]


def test_the_service_lives_apart_from_the_values() -> None:
    binding = shipped("RoleBinding", "fugata-values")
    bound = [f"system:serviceaccount:{e['namespace']}:{e['name']}" for e in binding["subjects"]]
    assert bound == [SERVICE_USER, WORKER_USER]
    for subject in binding["subjects"]:
        account = shipped("ServiceAccount", subject["name"])["metadata"]
        assert account["namespace"] == subject["namespace"]
        assert account["namespace"] != binding["metadata"]["namespace"] == VALUES


def rules(kubernetes: KubernetesServer, namespace: str, token: str) -> list[Json]:
    """Return the rights that the service itself, or its worker, sees in a namespace."""
    review = {"spec": {"namespace": namespace}}
    headers = {"Authorization": f"Bearer {token}"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    answer = kubernetes.admin.post(path, json=review, headers=headers)
    found: list[Json] = answer.json()["status"]["resourceRules"]
    return [rule for rule in found if not rule["resources"][0].startswith("selfsubject")]


def test_what_the_service_may_do_in_the_cluster(kubernetes: KubernetesServer) -> None:
    for namespace in ("fugata", "default", "kube-system"):
        assert rules(kubernetes, namespace, SERVICE_TOKEN) == []
    for token in (SERVICE_TOKEN, WORKER_TOKEN):
        (rule,) = rules(kubernetes, VALUES, token)
        assert sorted(rule["verbs"]) == ["create", "delete", "get", "list"]


def test_the_worker_alone_keeps_the_head_of_the_trail(kubernetes: KubernetesServer) -> None:
    """It may read and replace that one object, and nothing else beside it."""
    for namespace in ("default", "kube-system"):
        assert rules(kubernetes, namespace, WORKER_TOKEN) == []
    (rule,) = rules(kubernetes, "fugata", WORKER_TOKEN)
    assert (rule["resources"], rule["resourceNames"]) == (["configmaps"], ["audit-head"])
    assert sorted(rule["verbs"]) == ["get", "update"]
    assert "data" not in shipped("ConfigMap", "audit-head"), "applying would put it back"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/namespaces"),
        ("GET", "/api/v1/namespaces/fugata/secrets"),
        ("GET", "/api/v1/namespaces/fugata/secrets/fugata-keys"),
        ("POST", "/api/v1/namespaces/fugata/secrets"),
        ("DELETE", "/api/v1/namespaces/{values}/secrets"),
        ("PUT", "/api/v1/namespaces/{values}/secrets/any"),
        ("PATCH", "/api/v1/namespaces/{values}/secrets/any"),
        ("GET", "/api/v1/namespaces/{values}/secrets?watch=true&timeoutSeconds=1"),
        ("GET", "/api/v1/namespaces/{values}/configmaps"),
        ("POST", "/api/v1/namespaces/{values}/configmaps"),
        ("POST", "/api/v1/namespaces/{values}/pods"),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/{values}/roles"),
    ],
)
def test_what_it_may_not(kubernetes: KubernetesServer, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {SERVICE_TOKEN}"}
    body: Json = {"metadata": {"name": "any"}}
    if method == "PATCH":
        headers["Content-Type"] = "application/merge-patch+json"
    answer = kubernetes.admin.request(
        method, path.format(values=VALUES), json=body, headers=headers
    )
    assert answer.status_code == 403


NEEDS: dict[str, Callable[[KubernetesStore], Any]] = {
    "create": lambda store: store.put(store.new_name(1), b"sealed"),
    "delete": lambda store: store.delete(store.new_name(1)),
    "get": lambda store: store.check(),
    "list": lambda store: list(store.list()),
}


@pytest.mark.django_db
@pytest.mark.parametrize("verb", NEEDS)
def test_each_verb_is_needed(
    kubernetes: KubernetesServer, store: KubernetesStore, settings: Settings, verb: str
) -> None:
    """All but one: what the one is for fails, and the others work."""
    namespace = settings.VALUE_STORE["OPTIONS"]["namespace"]
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"
    (found,) = kubernetes.admin.get(role).json()["items"]
    assert set(found["rules"][0]["verbs"]) == set(NEEDS)
    for need in NEEDS.values():
        need(store)
    found["rules"][0]["verbs"].remove(verb)
    answer = kubernetes.admin.put(f"{role}/{found['metadata']['name']}", json=found)
    assert answer.status_code == 200
    namespace = settings.VALUE_STORE["OPTIONS"]["namespace"]
    wait_until(lambda: not kubernetes.may(namespace, verb), "the right's end")
    for name, need in NEEDS.items():
        if name == verb:
            with pytest.raises(StoreUnavailable, match="403"):
                need(store)
        else:
            need(store)


def test_kubectl_takes_them_twice(kubernetes: KubernetesServer) -> None:
    again = kubernetes.kubectl("apply", *(f"--filename={MANIFESTS / name}" for name in SHIPPED))
    assert again.count("unchanged") == len(DOCUMENTS_SHIPPED)


DOCUMENTS_SHIPPED = [d for path, d in DOCUMENTS if path in SHIPPED]
