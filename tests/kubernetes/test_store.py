"""What is particular to values in Kubernetes: objects, pieces, whose they are."""

import base64
import os
import re
from typing import Any

import pytest

from tests.support.faults.faulty import FaultyProxy
from tests.support.in_process.stores import kubernetes_store
from tests.support.servers.kubernetes import KubernetesServer
from vault_app.errors import StoreUnavailable, ValueMissing
from vault_app.models import Installation
from vault_app.stores.kubernetes import PIECE_SIZE, KubernetesStore

pytestmark = [pytest.mark.processes, pytest.mark.django_db]


def put(store: KubernetesStore, sealed: bytes) -> str:
    """Keep a value under a new name and return the name."""
    name = store.new_name(len(sealed))
    store.put(name, sealed)
    return name


def test_an_object_says_whose_it_is_and_can_not_be_changed(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    name = put(store, b"sealed")
    (kept,) = kubernetes.secrets(kubernetes_namespace)
    assert kept["metadata"]["name"] == f"fugata-{name}"
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert kept["immutable"] is True
    assert kept["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "fugata",
        "app.kubernetes.io/instance": Installation.identity(),
        "app.kubernetes.io/component": "shares",
    }
    assert {key: base64.b64decode(text) for key, text in kept["data"].items()} == {
        "sealed": b"sealed"
    }


@pytest.mark.parametrize(
    ("size", "pieces"),
    [(1, 1), (PIECE_SIZE, 1), (PIECE_SIZE + 1, 2), (10 * PIECE_SIZE + 29, 11)],
)
def test_a_long_value_is_in_pieces(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    store: KubernetesStore,
    size: int,
    pieces: int,
) -> None:
    name = put(store, os.urandom(size))
    assert len(kubernetes.names(kubernetes_namespace)) == pieces
    store.delete(name)
    assert kubernetes.names(kubernetes_namespace) == []


def test_a_name_for_another_size_is_refused(store: KubernetesStore) -> None:
    with pytest.raises(StoreUnavailable, match="another size"):
        store.put(store.new_name(1), bytes(PIECE_SIZE + 1))


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_put_that_breaks_off_leaves_no_half_value(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    written: int,
) -> None:
    """The first piece comes last; what came before it is listed, and deleted by its name."""
    size = 4 * PIECE_SIZE
    name = faulty_store.new_name(size)
    faulty.fail("answer", "POST", status=403, spare=written)
    with pytest.raises(StoreUnavailable):
        faulty_store.put(name, bytes(size))
    assert f"fugata-{name}" not in kubernetes.names(kubernetes_namespace)
    with pytest.raises(ValueMissing):
        faulty_store.get(name)
    assert [kept.name for kept in faulty_store.list()] == ([name] if written else [])
    faulty_store.delete(name)
    assert kubernetes.names(kubernetes_namespace) == []


@pytest.mark.parametrize("deleted", [1, 2, 3])
def test_a_delete_that_breaks_off_is_finished_by_name(
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    deleted: int,
) -> None:
    name = put(faulty_store, bytes(4 * PIECE_SIZE))
    faulty.fail("answer", "DELETE", status=403, spare=deleted)
    with pytest.raises(StoreUnavailable):
        faulty_store.delete(name)
    with pytest.raises(ValueMissing):
        faulty_store.get(name)
    assert [kept.name for kept in faulty_store.list()] == [name]
    faulty.heal()
    faulty_store.delete(name)
    assert kubernetes.names(kubernetes_namespace) == []


def test_the_listing_reads_no_value_and_pages(
    faulty_store: KubernetesStore, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault_app.stores.kubernetes.PAGE_SIZE", 2)
    names = sorted(put(faulty_store, bytes(100_000)) for _ in range(5))
    faulty.seen.clear()
    assert [kept.name for kept in faulty_store.list()] == names
    assert [request.method for request in faulty.seen] == ["GET"] * 3
    for request in faulty.seen:
        assert "PartialObjectMetadataList" in request.accept
        assert "limit=2" in request.path
        assert request.answered < 10_000


def test_a_value_in_pieces_is_listed_once_also_where_a_page_ends_in_it(
    store: KubernetesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault_app.stores.kubernetes.PAGE_SIZE", 3)
    names = sorted(put(store, bytes(size)) for size in (1, 5 * PIECE_SIZE, 5 * PIECE_SIZE, 1))
    assert [kept.name for kept in store.list()] == names


def test_a_listing_outlives_its_snapshot(
    kubernetes: KubernetesServer, store: KubernetesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault_app.stores.kubernetes.PAGE_SIZE", 2)
    names = sorted(put(store, b"sealed") for _ in range(7))
    listing = store.list()
    seen = [next(listing).name]
    put(store, b"newer")
    kubernetes.compact()
    seen += [kept.name for kept in listing]
    assert set(names) <= set(seen)


def test_everybody_sees_their_own_alone(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    """Another app's, another installation's, another program's."""
    name = put(store, b"shares'")
    other = put(kubernetes_store("repositories"), b"repositories'")
    foreign: dict[str, Any] = {"metadata": {"name": "foreign"}, "data": {"sealed": "AAAA"}}
    kubernetes.create(f"/api/v1/namespaces/{kubernetes_namespace}/secrets", foreign)
    assert [kept.name for kept in store.list()] == [name]
    assert [kept.name for kept in kubernetes_store("repositories").list()] == [other]
    Installation.objects.all().delete()
    assert list(kubernetes_store().list()) == []


def test_all_processes_have_one_identity() -> None:
    assert Installation.identity() == Installation.identity()
    assert Installation.objects.count() == 1
