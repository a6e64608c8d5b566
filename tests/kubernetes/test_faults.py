"""The API server fails at each step of what the service does with it.

Up to the commit: the documented 500, within the configured time, never a 404, and nothing is
used up. After the commit: the answer is what it would have been.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.clients import stored
from tests.support.clients.keeping import Keeper, keeper
from tests.support.clients.sharing import create, create_request, delete_request, open_share
from tests.support.clients.wire import Answer, exchange
from tests.support.faults.faulty import FaultyProxy
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.parts import plain_http, wait_until
from tests.support.servers.service import Service

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

#: One of each kind: final, a conflict, passing, and no answer. test_store_faults has each status.
FAULTS: dict[str, dict[str, Any]] = {
    "403": {"kind": "answer", "status": 403},
    "409": {"kind": "answer", "status": 409},
    "429": {"kind": "answer", "status": 429, "headers": {"Retry-After": "1"}},
    "hangs": {"kind": "hang"},
    "answers nothing": {"kind": "drop"},
}
ENCRYPT = (500, {"error": "Failed to encrypt secret"})
DECRYPT = (500, {"error": "Failed to decrypt secret"})
INTERNAL = (500, {"error": "Internal server error"})


def said(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.json()


@pytest.fixture(scope="module")
def keep(shaky: Service) -> Keeper:
    """A repository on the shaky service."""
    return keeper(shaky)


@pytest.fixture(params=FAULTS)
def fail(request: pytest.FixtureRequest, proxy: FaultyProxy) -> Iterator[Callable[[str], None]]:
    """Let requests of a method fail, in each way in turn; it ends with the test."""
    yield lambda method: proxy.fail(method=method, **FAULTS[request.param])
    proxy.heal()


def events(service: Service) -> int:
    return stored.count(service, "audit_app_auditevent")


def test_create(shaky: Service, proxy: FaultyProxy, fail: Callable[[str], None]) -> None:
    shares, happened = stored.count(shaky, "secrets_app_share"), events(shaky)
    fail("POST")
    assert said(exchange(shaky.port, create_request("never"))) == ENCRYPT
    assert stored.count(shaky, "secrets_app_share") == shares
    assert events(shaky) == happened
    proxy.heal()
    assert open_share(shaky.port, create(shaky.port, "after")).json()["content"] == "after"


def test_create_in_pieces(shaky: Service, proxy: FaultyProxy, fail: Callable[[str], None]) -> None:
    """The third of four pieces fails."""
    fail("POST")
    proxy.let_through(2)
    assert said(exchange(shaky.port, create_request("p" * 4_000_000))) == ENCRYPT
    proxy.heal()
    content = "q" * 4_000_000
    assert open_share(shaky.port, create(shaky.port, content)).json()["content"] == content


@pytest.mark.parametrize("one_time", [True, False])
def test_open(
    shaky: Service, proxy: FaultyProxy, fail: Callable[[str], None], one_time: bool
) -> None:
    share = create(shaky.port, "s3cret", one_time=one_time)
    fail("GET")
    for _ in range(2):
        assert said(open_share(shaky.port, share)) == DECRYPT
    proxy.heal()
    assert open_share(shaky.port, share).json()["content"] == "s3cret"


def test_open_whose_clean_up_fails(shaky: Service, fail: Callable[[str], None]) -> None:
    share = create(shaky.port, "s3cret")
    fail("DELETE")
    assert open_share(shaky.port, share).json()["content"] == "s3cret"
    assert open_share(shaky.port, share).status == 404


def test_delete_whose_clean_up_fails(shaky: Service, fail: Callable[[str], None]) -> None:
    share = create(shaky.port, "s3cret")
    fail("DELETE")
    assert exchange(shaky.port, delete_request(share)).status == 200
    assert open_share(shaky.port, share).status == 404


def test_purge_whose_clean_up_fails(shaky: Service, fail: Callable[[str], None]) -> None:
    for _ in range(3):
        create(shaky.port, "s3cret")
    stored.query(shaky, "UPDATE secrets_app_share SET expires_at = '2020-01-01 00:00:00'")
    fail("DELETE")
    shaky.manage("purge_expired")
    assert stored.count(shaky, "secrets_app_share") == 0


def test_set(keep: Keeper, proxy: FaultyProxy, fail: Callable[[str], None]) -> None:
    key = secrets.token_hex(4)
    assert keep.set(f"old-{key}", "old").status == 201
    fail("POST")
    assert said(keep.set(f"new-{key}", "new")) == INTERNAL
    assert said(keep.set(f"old-{key}", "new")) == INTERNAL
    proxy.heal()
    assert keep.read(f"new-{key}").status == 404
    assert keep.read(f"old-{key}").json() == {"secret_value": "old"}


def test_read(keep: Keeper, proxy: FaultyProxy, fail: Callable[[str], None]) -> None:
    """A 404 would mean "deleted" to tools that poll."""
    key = secrets.token_hex(4)
    keep.set(key, "value")
    fail("GET")
    for _ in range(2):
        assert said(keep.read(key)) == INTERNAL
    assert key in keep.list().json()
    proxy.heal()
    assert keep.read(key).json() == {"secret_value": "value"}


def test_set_and_remove_whose_clean_up_fails(keep: Keeper, fail: Callable[[str], None]) -> None:
    key = secrets.token_hex(4)
    keep.set(key, "one")
    fail("DELETE")
    assert keep.set(key, "two").status == 201
    assert keep.read(key).json() == {"secret_value": "two"}
    assert keep.remove(key).status == 204
    assert keep.read(key).status == 404


def test_health(shaky: Service, proxy: FaultyProxy, fail: Callable[[str], None]) -> None:
    """It says so while it lasts, in time for a probe, and recovers by itself."""
    unwell = {"status": "unhealthy", "error": "Value store unavailable"}
    fail("GET")
    wait_until(lambda: not shaky.is_well(), "a service that is not well")
    for _ in range(5):
        answer = plain_http.get(f"{shaky.url}/healthz", timeout=2)
        assert (answer.status_code, answer.json()) == (503, unwell)
    assert "health: Value store unavailable (the Kubernetes API server" in shaky.logged()
    proxy.heal()
    shaky.wait_until_well()


@pytest.mark.parametrize("how", ["lose", "429 once"])
def test_what_passes_is_not_noticed(
    shaky: Service, keep: Keeper, proxy: FaultyProxy, how: str
) -> None:
    """An answer that is lost, or a "too many requests", costs the client nothing."""
    fault = {"kind": "lose"} if how == "lose" else {"kind": "answer", "status": 429}
    share = create(shaky.port, "s3cret")
    for method in ("POST", "GET", "DELETE"):
        proxy.fail(method=method, times=1, **fault)
        if method == "POST":
            created = create(shaky.port, "other")
            assert open_share(shaky.port, created).json()["content"] == "other"
        elif method == "GET":
            assert keep.set("k", "v").status == 201
            assert keep.read("k").json() == {"secret_value": "v"}
        else:
            assert open_share(shaky.port, share).json()["content"] == "s3cret"
        assert proxy.struck == 1
    proxy.heal()


def test_afterwards_reconciliation_leaves_a_value_for_each_row(
    shaky: Service, keep: Keeper, proxy: FaultyProxy, kubernetes: KubernetesServer
) -> None:
    """What all of the above left behind, and some more."""
    namespace = shaky.settings["KUBERNETES_NAMESPACE"]
    shares = [create(shaky.port, f"kept {n}") for n in range(3)]
    keep.set("kept", "one")
    proxy.fail("answer", "DELETE", status=500)
    keep.set("kept", "two")
    open_share(shaky.port, create(shaky.port, "opened"))
    proxy.heal()
    rows = stored.count(shaky, "repositories_app_repositorysecret")
    rows += stored.count(shaky, "secrets_app_share")
    assert stored.values(shaky) > rows
    kubernetes.age(namespace)
    shaky.manage("reconcile_values", "--force")
    assert stored.values(shaky) == rows
    assert keep.read("kept").json() == {"secret_value": "two"}
    for share in shares:
        assert open_share(shaky.port, share).json()["content"] == share.content
    assert "Traceback" not in shaky.logged()
