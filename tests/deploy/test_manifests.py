"""deploy/kubernetes as kustomize renders it: valid today, taken by an API server, and safe."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.conftest import Require
from tests.support import kustomize
from tests.support.kubernetes import KubernetesServer
from tests.support.kustomize import KUBERNETES, OVERLAYS, Json, one, overlay, pods, rendered

#: What the tests' API server (1.20) calls by another name. Nothing else is rewritten for it.
_OLD = {"autoscaling/v2": "autoscaling/v2beta2", "policy/v1": "policy/v1beta1"}
#: Kinds that another project brings: the tests' API server does not know them.
FOREIGN = ("ServiceMonitor",)
SECRET_SETTINGS = ("DATABASE_URL", "REDIS_URL", "FUGATA_KEYS", "SECRET_KEY", "AUDIT_KEY")


@pytest.fixture(autouse=True)
def _kubectl(require: Require) -> None:
    require(f"kubectl of today ({kustomize.HOW})", kustomize.kubectl())


@pytest.fixture
def with_metrics(tmp_path: Path) -> tuple[Json, ...]:
    """The large overlay with the metrics component."""
    copy = KUBERNETES.parent / "kubernetes"
    wanted = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [_relative(tmp_path, copy / "overlays" / "large")],
        "components": [_relative(tmp_path, copy / "components" / "metrics")],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return rendered(tmp_path)


def _relative(start: Path, target: Path) -> str:
    import os.path

    return os.path.relpath(target, start.resolve())


def fits(document: Json) -> None:
    if document["kind"] not in FOREIGN:
        latest = kubernetes_validate.latest_version()
        kubernetes_validate.validate(document, latest, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_today_s_schema(name: str) -> None:
    for document in overlay(name):
        fits(document)


def test_today_s_schema_with_metrics(with_metrics: tuple[Json, ...]) -> None:
    for document in with_metrics:
        fits(document)
    for pod in ("web", "worker"):
        (container,) = pods(with_metrics)[pod]["containers"]
        assert {"name": "metrics", "containerPort": 9090, "protocol": "TCP"} in container["ports"]
    assert one(with_metrics, "ConfigMap", "fugata")["data"]["METRICS_PORT"] == "9090"
    assert one(with_metrics, "ServiceMonitor", "fugata")
    assert "metrics" not in yaml.safe_dump_all(overlay("large")).lower().replace("metrics:", "")


def test_the_controller_s_settings_fit() -> None:
    fits(yaml.safe_load((KUBERNETES / "ingress-nginx.yaml").read_text()))


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_api_server_takes_them_twice(
    own_kubernetes: KubernetesServer, tmp_path: Path, name: str
) -> None:
    """A server of its own: in the others' the namespaces would be this test's."""
    documents = [_for_the_old(each) for each in overlay(name)]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    apply = ("apply", "--server-side", "--force-conflicts", f"--filename={file}")
    for _ in range(2):
        assert own_kubernetes.kubectl(*apply).count("serverside-applied") == len(documents)
    web = own_kubernetes.admin.get("/apis/apps/v1/namespaces/fugata/deployments/web").json()
    applied = web["spec"]["template"]["spec"]
    assert applied["serviceAccountName"] == "fugata"
    (container,) = pods(overlay(name))["web"]["containers"]
    assert applied["containers"][0]["command"] == container["command"]


def _for_the_old(document: Json) -> Json:
    version = document["apiVersion"]
    return document | {"apiVersion": _OLD.get(version, version)}


def containers(name: str) -> list[tuple[str, Json, Json]]:
    """Return each container with its pod."""
    found = []
    for pod, spec in pods(overlay(name)).items():
        for container in spec["containers"] + spec.get("initContainers", []):
            found.append((f"{pod}/{container['name']}", spec, container))
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_are_restricted(name: str) -> None:
    """What the namespace's label demands (Pod Security Standards, "restricted"), and more."""
    for where, pod, container in containers(name):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, where
        assert context["runAsUser"] == context["fsGroup"] == 10001, where
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), where
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, where
        assert own["capabilities"] == {"drop": ["ALL"]}, where
        assert own["readOnlyRootFilesystem"] is True, where
        assert not {"privileged", "runAsUser"} & set(own), where
        assert all(set(v) - {"name"} <= {"secret", "emptyDir"} for v in pod["volumes"]), where
    for namespace in ("fugata", "fugata-values"):
        labels = one(overlay(name), "Namespace", namespace)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", OVERLAYS)
def test_resources_are_bounded_and_images_have_a_version(name: str) -> None:
    for where, _, container in containers(name):
        assert container["resources"]["limits"]["memory"], where
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, where
        image, _, version = container["image"].partition(":")
        assert image, where
        assert version not in ("", "latest"), where


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_secret_is_in_a_manifest(name: str) -> None:
    assert not [each for each in overlay(name) if each["kind"] == "Secret"]
    settings = one(overlay(name), "ConfigMap", "fugata")["data"]
    assert not set(settings) & set(SECRET_SETTINGS)
    for setting in SECRET_SETTINGS:
        assert settings[f"{setting}_FILE"] == f"/run/secrets/fugata/{setting}"
    for where, pod, container in containers(name):
        (secret,) = [v for v in pod["volumes"] if "secret" in v]
        assert secret["secret"] == {"secretName": "fugata", "defaultMode": 0o440}, where
        assert container.get("env", []) == [], where


def test_one_beat_and_several_of_the_others() -> None:
    for name, web, workers in (("small", 2, 1), ("large", None, 3)):
        beat = one(overlay(name), "Deployment", "beat")["spec"]
        assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})
        assert one(overlay(name), "Deployment", "web")["spec"].get("replicas") == web
        assert one(overlay(name), "Deployment", "worker")["spec"]["replicas"] == workers
    scaler = one(overlay("large"), "HorizontalPodAutoscaler", "web")["spec"]
    assert scaler["minReplicas"] >= 2
    assert scaler["maxReplicas"] > scaler["minReplicas"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_goes_in_or_out_but_what_is_named(name: str) -> None:
    policies = [each for each in overlay(name) if each["kind"] == "NetworkPolicy"]
    for namespace in ("fugata", "fugata-values"):
        (deny,) = [
            each["spec"]
            for each in policies
            if each["metadata"]["name"] == "default-deny"
            and each["metadata"]["namespace"] == namespace
        ]
        assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    incoming = [rule for each in policies for rule in each["spec"].get("ingress", [])]
    assert len(incoming) == 1  # the Ingress controller, to web's port
    outgoing = [rule for each in policies for rule in each["spec"].get("egress", [])]
    ports = {port["port"] for rule in outgoing for port in rule["ports"]}
    assert ports == {53, 443, 5432, 6379, 6443}
    assert all(rule["to"] for rule in outgoing)


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_is_selected_is_there(name: str) -> None:
    """Services, budgets and policies select by labels that pods have."""
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in overlay(name)
        if each["kind"] in ("Deployment", "Job")
    ]
    for each in overlay(name):
        for selector in _selectors(each):
            assert any(selector.items() <= found.items() for found in labels), each["metadata"]


def _selectors(each: Json) -> list[dict[str, Any]]:
    spec = each.get("spec", {})
    if each["kind"] == "Service":
        return [spec["selector"]]
    if each["kind"] in ("PodDisruptionBudget", "Deployment"):
        return [spec["selector"]["matchLabels"]]
    if each["kind"] == "NetworkPolicy":
        return [spec["podSelector"].get("matchLabels", {})]
    return []


def test_the_ingress_writes_no_ids_and_sends_nothing_twice() -> None:
    from django.conf import settings

    for name in OVERLAYS:
        ingress = one(overlay(name), "Ingress", "web")
        said = {
            key.removeprefix("nginx.ingress.kubernetes.io/"): value
            for key, value in ingress["metadata"]["annotations"].items()
        }
        assert said["enable-access-log"] == "false"
        assert said["proxy-next-upstream"] == "off"
        assert said["proxy-request-buffering"] == said["proxy-buffering"] == "off"
        assert int(said["proxy-body-size"]) == settings.MAX_BODY_SIZE
        host = ingress["spec"]["rules"][0]["host"]
        assert ingress["spec"]["tls"][0]["hosts"] == [host]
        url = one(overlay(name), "ConfigMap", "fugata")["data"]["PUBLIC_URL"]
        assert url == f"https://{host}"
