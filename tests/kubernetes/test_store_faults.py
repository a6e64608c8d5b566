"""The API server fails: calls are repeated where that is safe, and end within their time."""

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from tests.secrets_app.support import at_once
from tests.support.faults.faulty import FaultyProxy
from tests.support.in_process.stores import kubernetes_store, set_options
from tests.support.servers.kubernetes import SERVICE_TOKEN, KubernetesServer
from vault_app import backoff
from vault_app.errors import StoreUnavailable, ValueConflict, ValueMissing
from vault_app.stores import kubernetes_api
from vault_app.stores.kubernetes import KubernetesStore
from vault_app.values import delete_quietly

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
    asked = 2 if status in {401, 403} else 1
    assert faulty.struck == asked, "once more with new credentials, where it may be for those"
    faulty.heal()
    run(operation, faulty_store, name)


def test_credentials_that_were_read_just_now_are_not_tried_twice(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str
) -> None:
    for struck in (2, 1):
        faulty.fail("answer", status=401)
        failure("GET", faulty_store, name)
        assert faulty.struck == struck


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


def test_nothing_is_sent_when_the_time_is_over(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process stood still in its pause: what it deletes may have been put back since."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda pause: sleep(max(pause, 0.5)))
    faulty.fail("answer", "DELETE", status=503, times=1)
    with pytest.raises(StoreUnavailable, match="did not answer a DELETE"):
        faulty_store.delete(name, within=0.4)
    assert faulty.struck == 1
    assert faulty_store.get(name) == VALUE


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


def test_a_response_does_not_wait_for_the_store_s_whole_time(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, settings: Settings
) -> None:
    """The test's own time limit is what would end it, else."""
    set_options(settings, timeout=300)
    faulty.fail("hang", "DELETE")
    delete_quietly("shares", name)
    assert faulty.struck == 1


@all_operations
def test_a_lost_answer_is_asked_for_again(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, operation: str
) -> None:
    """A create finds its own object, a delete finds nothing: both are successes."""
    faulty.fail("lose", times=1)
    run(operation, faulty_store, name)
    assert faulty.struck == 1


@all_operations
def test_no_answer_is_asked_for_a_few_times(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    name: str,
    operation: str,
    pauses: list[float],
) -> None:
    faulty.fail("drop")
    failure(operation, faulty_store, name)
    assert faulty.struck == kubernetes_api.ATTEMPTS


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


def plant(kubernetes: KubernetesServer, namespace: str, name: str, *keys: str) -> None:
    """Write an object as another program would: with the same bytes under each of the keys."""
    metadata, data = {"name": f"fugata-{name}"}, dict.fromkeys(keys, "bWluZQ==")
    kubernetes.plant(namespace, [{"metadata": metadata, "data": data}])


def test_a_create_that_finds_its_own_object_and_more(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    """A policy added something to what an earlier attempt stored."""
    name = store.new_name(1)
    plant(kubernetes, kubernetes_namespace, name, "sealed", "other")
    store.put(name, b"mine")
    with pytest.raises(ValueConflict):
        store.put(name, b"more")


def test_an_object_that_has_no_value(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    name = store.new_name(1)
    plant(kubernetes, kubernetes_namespace, name, "other")
    with pytest.raises(ValueMissing):
        store.get(name)


def test_a_conflict_without_an_object(faulty_store: KubernetesStore, faulty: FaultyProxy) -> None:
    faulty.fail("answer", "POST", status=409, body=status_of("AlreadyExists"))
    with pytest.raises(StoreUnavailable, match="is not there"):
        faulty_store.put(faulty_store.new_name(1), VALUE)


def status_of(reason: str) -> bytes:
    """Return a Status as the API server words it."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason}
    return json.dumps(status | {"message": "Operation cannot be fulfilled"}).encode()


@pytest.mark.parametrize("operation", ["GET", "DELETE", "check"])
@pytest.mark.parametrize("body", [b"<h1>Not found</h1>", b'{"kind":"Status","reason":"Gone"}'])
def test_a_404_of_somebody_else_says_nothing_about_a_value(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, operation: str, body: bytes
) -> None:
    """A proxy with a wrong route, for instance: no value is missing for that."""
    faulty.fail("answer", status=404, body=body)
    assert "answered 404" in failure(operation, faulty_store, name)


@pytest.mark.parametrize("operation", ["POST", "DELETE"])
def test_others_who_were_first_are_no_outcome(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    name: str,
    operation: str,
    pauses: list[float],
) -> None:
    """A quota's count that another API server changed says Conflict, for as long as it takes."""
    times = 3 * kubernetes_api.ATTEMPTS
    faulty.fail("answer", operation, status=409, body=status_of("Conflict"), times=times)
    run(operation, faulty_store, name)
    assert len(pauses) == len(set(pauses)) == times, "not all come back at the same time"
    longest = backoff.LAST_BACKOFF
    assert longest / 2 <= max(pauses) <= longest


def test_a_409_of_somebody_else_is_tried_again_a_few_times(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, pauses: list[float]
) -> None:
    faulty.fail("answer", "POST", status=409, body=b"<h1>Conflict</h1>")
    assert "answered 409" in failure("POST", faulty_store, name)
    assert faulty.struck == kubernetes_api.ATTEMPTS


def test_others_who_are_always_first_end_with_the_time(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str
) -> None:
    faulty_store.timeout = 0.5
    faulty.fail("answer", "POST", status=409, body=status_of("Conflict"))
    assert "answered 409 to a POST: Conflict" in failure("POST", faulty_store, name)


def test_a_server_that_says_when_is_asked_until_the_time_is_over(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, pauses: list[float]
) -> None:
    times = 3 * kubernetes_api.ATTEMPTS
    faulty.fail("answer", status=429, headers={"Retry-After": "1"}, times=times)
    run("GET", faulty_store, name)
    assert pauses == [1.0] * times


@pytest.mark.parametrize("said", ["0", "²", "-1", "Fri, 31 Dec 1999 23:59:59 GMT"])
def test_a_server_that_says_when_in_other_words(
    faulty_store: KubernetesStore, faulty: FaultyProxy, name: str, said: str, pauses: list[float]
) -> None:
    """It is not asked again at once, nor does it end the call."""
    faulty.fail("answer", status=503, headers={"Retry-After": said}, times=1)
    run("GET", faulty_store, name)
    (pause,) = pauses
    assert backoff.FIRST_BACKOFF / 2 <= pause <= backoff.FIRST_BACKOFF


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"data":{"sealed":"%"}}',
        b"\xff",
        b'{"metadata":{"labels":{"a":"\xff"}}}',
    ],
)
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


@pytest.mark.parametrize(
    "content",
    [None, "", "not: [yaml", "users: [{token: s3cret}]", "current-context: s3cret"],
)
def test_no_access_names_the_setting(
    kubernetes_namespace: str, settings: Settings, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    set_options(settings, kubeconfig=str(path))
    with pytest.raises(ImproperlyConfigured, match="KUBECONFIG: there is no access") as raised:
        kubernetes_store()
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))


def test_time_is_not_the_local_clock_s(
    faulty_store: KubernetesStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value's age is the API server's own opinion."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    (kept,) = faulty_store.list()
    assert kept.age is not None
    assert abs(kept.age.total_seconds()) < 60
