"""deploy/kubernetes: taken by an API server of today without a warning, and safe."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.servers.kubernetes import MANIFESTS, Json, KubernetesServer
from tests.support.servers.kustomize import OVERLAYS, one, overlay, pods, with_component

pytestmark = pytest.mark.usefixtures("kubernetes")

#: Kinds that another project brings, which the API server does not know; kustomize has its own.
OF_OTHERS = ("external-secrets.io/", "monitoring.coreos.com/", "kustomize.config.k8s.io/")
#: What no overlay has, and the namespace that it is put into.
APART = {"examples/pod.yaml": "fugata", "ingress-nginx.yaml": "ingress-nginx"}
SECRET_SETTINGS = ("DATABASE_URL", "REDIS_URL", "FUGATA_KEYS", "SECRET_KEY", "AUDIT_KEY")


@pytest.fixture(scope="module")
def with_metrics(tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, ...]:
    """The large overlay with the metrics component."""
    return with_component("large", "metrics", tmp_path_factory.mktemp("with-metrics"))


@pytest.fixture(scope="module")
def with_vault(tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, ...]:
    """The small overlay with the component that has the keys in Vault."""
    return with_component("small", "vault", tmp_path_factory.mktemp("with-vault"))


@pytest.fixture(params=[*OVERLAYS, "with_metrics", "with_vault"])
def objects(request: pytest.FixtureRequest) -> tuple[Json, ...]:
    """What each way to install it applies."""
    if request.param in OVERLAYS:
        return overlay(request.param)
    made: tuple[Json, ...] = request.getfixturevalue(request.param)
    return made


# --- What an API server says of them -------------------------------------------------------------


def apply(server: KubernetesServer, objects: list[Json], *options: str) -> list[str]:
    """Return a line for each object. What is not quite right, or only warned of, is a failure."""
    given = yaml.safe_dump_all(objects)
    command = ("apply", "--validate=strict", "--filename=-", *options)
    lines = server.kubectl(*command, given=given).splitlines()
    assert len(lines) == len(objects)
    return lines


def known(objects: tuple[Json, ...]) -> list[Json]:
    return [each for each in objects if not each["apiVersion"].startswith(OF_OTHERS)]


def documents(file: str) -> tuple[Json, ...]:
    return tuple(yaml.safe_load_all((MANIFESTS / file).read_text()))


def deployments(server: KubernetesServer) -> dict[str, Json]:
    found = server.admin.get("/apis/apps/v1/namespaces/fugata/deployments").json()["items"]
    return {each["metadata"]["name"]: each for each in found}


def test_an_api_server_takes_them_twice(
    kubernetes: KubernetesServer, objects: tuple[Json, ...]
) -> None:
    job = ("job", "migrate", "--namespace=fugata")
    kubernetes.kubectl("delete", *job, "--ignore-not-found")  # as docs/upgrade.md says
    apply(kubernetes, known(objects))
    once = deployments(kubernetes)
    apply(kubernetes, known(objects))
    assert deployments(kubernetes) == once  # nothing is rolled out
    taken = once["web"]["spec"]["template"]["spec"]
    assert taken["serviceAccountName"] == "fugata"
    (container,) = pods(objects)["web"]["containers"]
    assert taken["containers"][0]["command"] == container["command"]


@pytest.mark.parametrize(("file", "namespace"), APART.items())
def test_it_takes_what_stands_apart(
    kubernetes: KubernetesServer, file: str, namespace: str
) -> None:
    if namespace != "fugata":
        apply(
            kubernetes, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
        )
    apply(kubernetes, list(documents(file)), f"--namespace={namespace}", "--dry-run=server")


def test_no_manifest_is_left_out(
    with_metrics: tuple[Json, ...], with_vault: tuple[Json, ...]
) -> None:
    asked = [*overlay("small"), *with_metrics, *with_vault]
    asked += [document for file in APART for document in documents(file)]
    seen = {(each["kind"], each["metadata"]["name"]) for each in asked}
    files = (str(path.relative_to(MANIFESTS)) for path in MANIFESTS.rglob("*.yaml"))
    for each in known(tuple(d for file in files for d in documents(file))):
        assert (each["kind"], each["metadata"]["name"]) in seen


def pod(name: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": "fugata"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_their_pods_may_run(kubernetes: KubernetesServer, objects: tuple[Json, ...]) -> None:
    """A Deployment whose pods the namespace turns away is warned of; the pods are refused."""
    made = [pod(name, spec) for name, spec in pods(objects).items()]
    assert {each["metadata"]["name"] for each in made} == {"web", "worker", "beat", "migrate"}
    apply(kubernetes, made, "--dry-run=server")


def without_context(spec: Json) -> Iterator[Json]:
    """Yield a pod's spec with each of its security contexts taken out in turn."""
    for place in ("spec", "containers", "initContainers"):
        copy: Json = yaml.safe_load(yaml.safe_dump(spec))
        owner = copy if place == "spec" else copy[place][0]
        del owner["securityContext"]
        yield copy


def test_a_wrong_manifest_is_seen(kubernetes: KubernetesServer) -> None:
    """What the tests above go by."""
    dry = ("--dry-run=server",)
    wrong = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "nmae": "x"}}
    with pytest.raises(AssertionError, match="unknown field"):
        apply(kubernetes, [wrong], *dry)
    deployment = one(overlay("small"), "Deployment", "web")
    for spec in without_context(pods(overlay("small"))["web"]):
        with pytest.raises(AssertionError, match="Forbidden"):
            apply(kubernetes, [pod("web", spec)], *dry)
        template = deployment["spec"]["template"] | {"spec": spec}
        loose = deployment | {"spec": deployment["spec"] | {"template": template}}
        with pytest.raises(AssertionError, match="Warning: would violate PodSecurity"):
            apply(kubernetes, [loose], *dry)


# --- What they say -------------------------------------------------------------------------------


def test_metrics_are_an_option(with_metrics: tuple[Json, ...]) -> None:
    for name in ("web", "worker"):
        (container,) = pods(with_metrics)[name]["containers"]
        assert {"name": "metrics", "containerPort": 9090, "protocol": "TCP"} in container["ports"]
    assert one(with_metrics, "ConfigMap", "fugata")["data"]["METRICS_PORT"] == "9090"
    assert one(with_metrics, "ServiceMonitor", "fugata")
    assert "metrics" not in yaml.safe_dump_all(overlay("large")).lower().replace("metrics:", "")


def containers(name: str) -> list[tuple[str, Json, Json]]:
    """Return each container with its pod."""
    found = []
    for pod, spec in pods(overlay(name)).items():
        for container in spec["containers"] + spec.get("initContainers", []):
            found.append((f"{pod}/{container['name']}", spec, container))
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_are_more_than_restricted(name: str) -> None:
    """What the namespaces' label does not demand."""
    for where, pod, container in containers(name):
        context = pod["securityContext"]
        assert context["runAsUser"] == context["fsGroup"] == 10001, where
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True, where
        assert "runAsUser" not in own, where
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


def test_the_head_of_the_trail_outlives_every_pod(objects: tuple[Json, ...]) -> None:
    """All name the ConfigMap that is there, and no file beside it, or they would not start."""
    said = one(objects, "ConfigMap", "fugata")["data"]
    assert one(objects, "ConfigMap", said["AUDIT_HEAD_CONFIGMAP"])
    for spec in pods(objects).values():
        for container in spec["containers"] + spec.get("initContainers", []):
            (reference,) = container["envFrom"]
            assert reference["configMapRef"]["name"].startswith("fugata")
            given = [*said, *(each["name"] for each in container.get("env", []))]
            assert "AUDIT_HEAD_PATH" not in given


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
