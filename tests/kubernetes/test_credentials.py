"""Credentials that were replaced are read again: a pod's token, and all that a kubeconfig names."""

from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
import yaml
from kubernetes.client import Configuration
from kubernetes.config import incluster_config
from pytest_django.fixtures import Settings

from tests.secrets_app.support import at_once
from tests.support.in_process.stores import kubernetes_store, set_options
from tests.support.servers.kubernetes import SERVICE_TOKEN, KubernetesServer
from vault_app.backends import reset_backends
from vault_app.errors import StoreUnavailable
from vault_app.stores import kubernetes_access
from vault_app.stores.kubernetes import KubernetesStore

pytestmark = [pytest.mark.processes, pytest.mark.django_db, pytest.mark.timeout(60)]

BAD = "not a token of this cluster"


@pytest.fixture
def pod(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: Settings,
) -> Path:
    """The inside of a pod, with a service account's token; returns the token's file."""
    token = tmp_path / "token"
    token.write_text(SERVICE_TOKEN)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(kubernetes.authority))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(kubernetes.port))
    set_options(settings, kubeconfig="/nonexistent")
    reset_backends()
    return token


def test_a_pod_s_own_access_comes_first(pod: Path) -> None:
    kubernetes_store().check()


def test_a_pod_s_token_is_read_again_when_it_is_refused(pod: Path) -> None:
    pod.write_text(BAD)
    store = kubernetes_store()
    pod.write_text(SERVICE_TOKEN)
    store.check()


@pytest.fixture
def kubeconfig(kubernetes: KubernetesServer, kubernetes_namespace: str, settings: Settings) -> Path:
    """A kubeconfig file of the test's own."""
    path = kubernetes.kubeconfig(BAD)
    set_options(settings, kubeconfig=str(path))
    reset_backends()
    return path


def _change(path: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change({"user": content["users"][0]["user"], "cluster": content["clusters"][0]["cluster"]})
    path.write_text(yaml.safe_dump(content))


@pytest.fixture(params=["tokenFile", "token"])
def replace_token(
    request: pytest.FixtureRequest, kubeconfig: Path, tmp_path: Path
) -> Callable[[str], None]:
    """Replace the token: in a file that the kubeconfig names, or in itself."""
    if request.param == "token":
        return lambda token: _change(kubeconfig, lambda c: c["user"].update(token=token))
    file = tmp_path / "token"
    file.write_text(BAD)
    _change(kubeconfig, lambda c: c["user"].pop("token"))
    _change(kubeconfig, lambda c: c["user"].update(tokenFile=str(file)))
    return lambda token: write(file, token)


def write(file: Path, text: str) -> None:
    file.write_text(text)


def test_a_kubeconfig_s_token_is_read_again_when_it_is_refused(
    replace_token: Callable[[str], None],
) -> None:
    store = kubernetes_store()
    replace_token(SERVICE_TOKEN)
    store.check()
    replace_token(f"{SERVICE_TOKEN}-renewed")
    assert store.get(_put(store)) == b"sealed"


def _put(store: KubernetesStore) -> str:
    name = store.new_name(6)
    store.put(name, b"sealed")
    return name


def test_no_thread_fails_while_one_reads_the_new_token(
    replace_token: Callable[[str], None],
) -> None:
    store = kubernetes_store()
    replace_token(SERVICE_TOKEN)
    at_once(16, 1, lambda _: store.check())


def test_a_token_that_stays_bad_is_not_read_at_each_request(
    replace_token: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kubernetes_store()
    access, read = store._api._access, list[int]()
    load = access._load

    def counted() -> Configuration:
        read.append(1)
        return load()

    monkeypatch.setattr(access, "_load", counted)
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="answered 401 to a GET: Unauthorized"):
            store.check()
    assert len(read) == 1
    replace_token(SERVICE_TOKEN)
    monkeypatch.setattr(kubernetes_access, "RENEW_INTERVAL", 0.0)
    store.check()


def test_a_kubeconfig_that_is_being_written_breaks_nothing(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_access, "RENEW_INTERVAL", 0.0)
    store = kubernetes_store()
    whole = kubeconfig.read_text()
    kubeconfig.write_text(whole[:40])
    with pytest.raises(StoreUnavailable, match="answered 401"):
        store.check()
    kubeconfig.write_text(whole.replace(BAD, SERVICE_TOKEN))
    store.check()


def test_an_authority_that_was_replaced_is_read_again(
    kubernetes: KubernetesServer, kubeconfig: Path
) -> None:
    _change(kubeconfig, lambda c: c["user"].update(token=SERVICE_TOKEN))
    _change(kubeconfig, lambda c: c["cluster"].update({"certificate-authority": certifi.where()}))
    store = kubernetes_store()
    right = str(kubernetes.authority)
    _change(kubeconfig, lambda c: c["cluster"].update({"certificate-authority": right}))
    store.check()
