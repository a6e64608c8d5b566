"""The API server fails: calls are repeated where that is safe, and end within their time."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from kubernetes.config import incluster_config
from pytest_django.fixtures import Settings

from tests.secrets_app.support import at_once
from tests.support.faults.faulty import FaultyProxy
from tests.support.in_process.stores import kubernetes_store, set_options
from tests.support.servers.kubernetes import SERVICE_TOKEN, KubernetesServer
from vault_app.backends import reset_backends
from vault_app.errors import StoreUnavailable, ValueConflict
from vault_app.stores import kubernetes_api
from vault_app.stores.kubernetes import KubernetesStore

pytestmark = [pytest.mark.processes, pytest.mark.django_db, pytest.mark.timeout(60)]

VALUE = b"a value that no message may hold"
OPERATIONS: dict[str, Callable[[KubernetesStore, str], object]] = {
    "POST": lambda store, name: store.put(store.new_name(1), VALUE),
    "GET": lambda store, name: store.get(name),
    "DELETE": lambda store, name: store.delete(name),
    "list": lambda store, name: list(store.list()),
    "check": lambda store, name: store.check(),
}
all_operations = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.fixture
def name(faulty_store: KubernetesStore) -> str:
    """The name of a value that is kept."""
    name = faulty_store.new_name(len(VALUE))
    faulty_store.put(name, VALUE)
    return name


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were slept, without sleeping them."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def run(operation: str, store: KubernetesStore, name: str) -> None:
    OPERATIONS[operation](store, name)


def failure(operation: str, store: KubernetesStore, name: str) -> str:
    """Return what is said of an operation that fails."""
    with pytest.raises(StoreUnavailable) as raised:
        run(operation, store, name)
    messages, error = [], raised.value.__cause__ or raised.value.__context__
    while error is not None:
        messages.append(str(error))
        error = error.__cause__ or error.__context__
    text = str(raised.value)
    assert name not in text
    assert VALUE.decode() not in text
    assert SERVICE_TOKEN not in "".join(messages) + text
    return text


@all_operations
@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_refusal_is_final(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, operation: str, status: int
) -> None:
    faulty.fail("answer", status=status)
    assert str(status) in failure(operation, faulty_store, name)
    assert faulty.struck == 1
    faulty.heal()
    run(operation, faulty_store, name)


def test_a_refusal_says_what_to_do(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str
) -> None:
    remedies = {401: "KUBECONFIG", 403: "Role", 404: "KUBERNETES_NAMESPACE"}
    for status, remedy in remedies.items():
        faulty.fail("answer", status=status)
        assert remedy in failure("POST", faulty_store, name)


@all_operations
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    name: str,
    operation: str,
    status: int,
    pauses: list[float],
) -> None:
    faulty.fail("answer", status=status, times=2)
    run(operation, faulty_store, name)
    assert len(pauses) == 2
    faulty.fail("answer", status=status)
    assert str(status) in failure(operation, faulty_store, name)
    assert faulty.struck == kubernetes_api.ATTEMPTS


@all_operations
def test_retry_after_is_honoured_within_the_time(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    name: str,
    operation: str,
    pauses: list[float],
) -> None:
    faulty.fail("answer", status=429, headers={"Retry-After": "1"}, times=1)
    run(operation, faulty_store, name)
    assert pauses == [1.0]
    faulty.fail("answer", status=429, headers={"Retry-After": "2"})
    failure(operation, faulty_store, name)
    assert faulty.struck == 1, "there was no time for another"


@all_operations
@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_a_server_that_hangs_is_given_up(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    name: str,
    operation: str,
    kind: str,
) -> None:
    """The test's own time limit is what would end it, else."""
    faulty_store.timeout = 0.2
    faulty.fail(kind)
    failure(operation, faulty_store, name)
    faulty.heal()
    faulty_store.timeout = 30
    run(operation, faulty_store, name)


def test_a_delete_may_be_given_less_time(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str
) -> None:
    faulty_store.timeout = 300
    faulty.fail("hang")
    with pytest.raises(StoreUnavailable):
        faulty_store.delete(name, within=0.5)


@all_operations
def test_a_lost_answer_is_asked_for_again(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, operation: str
) -> None:
    """A create finds its own object, a delete finds nothing: both are successes."""
    faulty.fail("lose", times=1)
    run(operation, faulty_store, name)
    assert faulty.struck == 1


def test_a_create_that_finds_its_own_object(
    faulty_store: KubernetesStore, faulty: FaultyProxy
) -> None:
    name = faulty_store.new_name(1)
    faulty.fail("lose", "POST", times=1)
    faulty_store.put(name, b"mine")
    faulty_store.put(name, b"mine")
    assert faulty_store.get(name) == b"mine"


def test_a_create_that_finds_another_s_object(faulty_store: KubernetesStore, name: str) -> None:
    with pytest.raises(ValueConflict):
        faulty_store.put(name, b"other")
    assert faulty_store.get(name) == VALUE


def test_a_conflict_without_an_object(faulty_store: KubernetesStore, faulty: FaultyProxy) -> None:
    faulty.fail("answer", "POST", status=409)
    with pytest.raises(StoreUnavailable, match="is not there"):
        faulty_store.put(faulty_store.new_name(1), VALUE)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'{"data":{"sealed":"%"}}', b"\xff"])
def test_an_answer_that_is_not_one(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, body: bytes
) -> None:
    faulty.fail("answer", status=200, body=body)
    failure("GET", faulty_store, name)
    failure("list", faulty_store, name)


def test_a_server_that_is_not_there(faulty_store: KubernetesStore, faulty: FaultyProxy) -> None:
    faulty.close()
    with pytest.raises(StoreUnavailable, match="did not answer"):
        faulty_store.check()


def test_connections_are_kept_and_as_many_as_threads(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, settings: Settings
) -> None:
    before = faulty.connections
    for _ in range(20):
        faulty_store.get(name)
    assert faulty.connections == before
    at_once(settings.WEB_THREADS, 20, lambda _: faulty_store.get(name))
    assert faulty.connections <= settings.WEB_THREADS


def test_apps_share_the_pool(store: KubernetesStore) -> None:
    assert kubernetes_store("repositories")._api is store._api


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


def test_a_token_that_rotates_is_read_again(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = kubernetes_store()
    store.check()
    pod.write_text("not a token of this cluster")
    store.check()  # it is read once a minute
    hook = store._api._client.configuration.refresh_api_key_hook
    loader = hook.__closure__[0].cell_contents
    assert isinstance(loader, incluster_config.InClusterConfigLoader)
    loader.token_expires_at = loader.token_expires_at.replace(year=2020)
    with pytest.raises(StoreUnavailable, match="401"):
        store.check()
    pod.write_text(f"{SERVICE_TOKEN}-renewed")
    loader.token_expires_at = loader.token_expires_at.replace(year=2020)
    store.check()


@pytest.mark.parametrize("content", [None, "", "not: [yaml", "users: [{token: s3cret}]"])
def test_no_access_names_the_setting(
    kubernetes_namespace: str, settings: Settings, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    set_options(settings, kubeconfig=str(path))
    with pytest.raises(ImproperlyConfigured, match="KUBECONFIG: there is no access") as raised:
        kubernetes_store()
    assert "s3cret" not in str(raised.value)


def test_time_is_not_the_local_clock_s(
    faulty_store: KubernetesStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value's age is the API server's own opinion."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    (kept,) = faulty_store.list()
    assert kept.age is not None
    assert abs(kept.age.total_seconds()) < 60
