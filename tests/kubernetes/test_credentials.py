"""Credentials that were replaced are read again: a pod's token, and all that a kubeconfig names."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from kubernetes.client import Configuration
from kubernetes.config import incluster_config
from pytest_django.fixtures import Settings

from tests.secrets_app.support import at_once
from tests.support.faults.faulty import FaultyProxy
from tests.support.in_process.stores import kubernetes_store, set_options
from tests.support.servers.kubernetes import SERVICE_TOKEN, KubernetesServer
from tests.support.servers.parts import wait_until
from vault_app.backends import reset_backends
from vault_app.errors import StoreUnavailable
from vault_app.stores import kubernetes_access, kubernetes_api
from vault_app.stores.kubernetes import KubernetesStore
from vault_app.stores.kubernetes_access import Access

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


def test_a_pod_s_token_that_is_missing_leads_to_no_other_cluster(
    pod: Path, kubernetes: KubernetesServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_options(settings, kubeconfig=str(kubernetes.kubeconfig()))
    pod.write_text(BAD)
    store = kubernetes_store()
    pod.unlink()
    with pytest.raises(StoreUnavailable, match="answered 401"):
        store.check()
    pod.write_text(SERVICE_TOKEN)
    monkeypatch.setattr(kubernetes_access, "RENEW_INTERVAL", 0.0)
    store.check()


def test_a_pod_s_token_is_read_again_when_it_is_refused(pod: Path) -> None:
    pod.write_text(BAD)
    store = kubernetes_store()
    pod.write_text(SERVICE_TOKEN)
    store.check()


@pytest.mark.parametrize(
    ("hide", "how"),
    [(lambda file: file.write_text(""), "ConfigException"), (Path.unlink, "FileNotFoundError")],
)
def test_a_pod_s_token_that_is_gone_for_a_moment(
    pod: Path, monkeypatch: pytest.MonkeyPatch, hide: Callable[[Path], object], how: str
) -> None:
    """The client reads it each minute; here at each request."""
    store = kubernetes_store()
    loader = incluster_config.InClusterConfigLoader
    read: Callable[[Any], object] = loader._read_token_file
    monkeypatch.setattr(loader, "_set_config", lambda self, _: read(self))
    hide(pod)
    with pytest.raises(StoreUnavailable, match=rf"did not answer a GET \({how}\)"):
        store.check()
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


def count_readings(access: Access, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each reading of the credentials."""
    load, read = access._load, list[int]()

    def counted() -> Configuration:
        read.append(1)
        return load()

    monkeypatch.setattr(access, "_load", counted)
    return read


def test_a_token_that_stays_bad_is_not_read_at_each_request(
    replace_token: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kubernetes_store()
    read = count_readings(store._api._access, monkeypatch)
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="answered 401 to a GET: Unauthorized"):
            store.check()
    assert len(read) == 1
    replace_token(SERVICE_TOKEN)
    monkeypatch.setattr(kubernetes_access, "RENEW_INTERVAL", 0.0)
    store.check()


def test_a_kubeconfig_that_stays_broken_is_not_read_at_each_request(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kubernetes_store()
    read = count_readings(store._api._access, monkeypatch)
    kubeconfig.write_text("not: [yaml")
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="answered 401"):
            store.check()
    assert len(read) == 1


def test_who_was_refused_with_old_credentials_takes_the_new_ones(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow request, for instance: what another one has read since is not read again."""
    monkeypatch.setattr(kubernetes_access, "RENEW_INTERVAL", 0.0)
    access = kubernetes_store()._api._access
    old, soon = access.client, time.monotonic() + 10
    assert access.renew(old, soon)
    new = access.client
    assert access.renew(old, soon)
    assert access.client is new


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


def test_a_token_that_is_read_while_it_is_written(
    replace_token: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one the API server takes us for somebody else, who may do nothing: 403."""
    store = kubernetes_store()
    replace_token("")
    with pytest.raises(StoreUnavailable, match=r"answered 40[13]"):
        store.check()
    replace_token(SERVICE_TOKEN)
    monkeypatch.setattr(kubernetes_access, "RENEW_INTERVAL", 0.0)
    store.check()


def test_a_plugin_that_hangs_is_not_waited_for_without_end(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test's own time limit is what would end it, else. It is asked once at a time."""
    store = kubernetes_store()
    store.timeout = 0.5
    asked, go = list[int](), threading.Event()
    load = store._api._access._load

    def hang() -> Configuration:
        asked.append(1)
        go.wait(300)
        return load()

    monkeypatch.setattr(store._api._access, "_load", hang)
    monkeypatch.setattr(kubernetes_access, "RENEW_INTERVAL", 0.0)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="answered 401"):
            store.get(store.new_name(1))
    access = store._api._access
    for left in (0.1, -0.1):
        assert not access.renew(access.client, time.monotonic() + left)
    assert len(asked) == 1
    write(kubeconfig, kubeconfig.read_text().replace(BAD, SERVICE_TOKEN))
    go.set()
    wait_until(lambda: _answers(store), "a new token")


def _answers(store: KubernetesStore) -> bool:
    with suppress(StoreUnavailable):
        store.check()
        return True
    return False


def test_an_authority_that_was_replaced_is_read_again(
    kubernetes: KubernetesServer, kubeconfig: Path
) -> None:
    _change(kubeconfig, lambda c: c["user"].update(token=SERVICE_TOKEN))
    _change(kubeconfig, lambda c: c["cluster"].update({"certificate-authority": certifi.where()}))
    store = kubernetes_store()
    right = str(kubernetes.authority)
    _change(kubeconfig, lambda c: c["cluster"].update({"certificate-authority": right}))
    store.check()


def test_a_server_that_can_not_be_trusted_is_asked_once_more_with_what_was_read(
    kubernetes: KubernetesServer, kubeconfig: Path, faulty: FaultyProxy, settings: Settings
) -> None:
    """Then only as often as any that does not answer. It speaks no TLS here."""
    url = faulty.url.replace("http:", "https:")
    set_options(settings, kubeconfig=str(kubernetes.kubeconfig(url=url)))
    with pytest.raises(StoreUnavailable, match=r"did not answer a GET \(SSLError\)"):
        kubernetes_store().check()
    assert faulty.connections == kubernetes_api.ATTEMPTS + 1
