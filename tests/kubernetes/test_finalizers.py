"""Objects that are being deleted, which the finalizers of others keep for a while."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit_app.actors import SERVICE
from secrets_app.actions.create import CreatedShare
from secrets_app.actions.delete import revoke_shares
from secrets_app.actions.reveal import reveal_share
from tests.secrets_app.support import row_of, share
from tests.support.servers.kubernetes import KubernetesServer
from vault_app.errors import StoreUnavailable, ValueStays
from vault_app.models import Leftover
from vault_app.stores.kubernetes import KubernetesStore
from vault_app.tasks import reconcile_values

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


def set_finalizers(
    kubernetes: KubernetesServer, namespace: str, finalizers: list[str] | None
) -> None:
    """Set them for all objects of a namespace."""
    for name in kubernetes.names(namespace):
        answer = kubernetes.admin.patch(
            f"/api/v1/namespaces/{namespace}/secrets/{name}",
            content=json.dumps({"metadata": {"finalizers": finalizers}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert answer.status_code == 200, answer.text


def keep(kubernetes: KubernetesServer, namespace: str) -> None:
    """Keep all objects of a namespace from going, whoever deletes them."""
    set_finalizers(kubernetes, namespace, ["company.example/backup"])


def delete(store: KubernetesStore, name: str) -> None:
    """Delete a value, which stays."""
    with pytest.raises(ValueStays, match="until whoever put finalizers on it takes them off"):
        store.delete(name)


def test_what_is_being_deleted_is_not_stored(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    name = store.new_name(6)
    store.put(name, b"sealed")
    keep(kubernetes, kubernetes_namespace)
    store.put(name, b"sealed")
    assert len(list(store.list())) == 1
    delete(store, name)
    assert store.get(name) == b"sealed", "it can be read meanwhile"
    assert not list(store.list())
    with pytest.raises(StoreUnavailable, match="is being deleted"):
        store.put(name, b"sealed")
    set_finalizers(kubernetes, kubernetes_namespace, None)
    store.put(name, b"sealed")
    assert len(list(store.list())) == 1


@pytest.fixture
def made(store: KubernetesStore) -> CreatedShare:
    """A share for many."""
    return share("kept", one_time=False)


def restored(file: Path) -> str:
    """Return what a restore says that fails."""
    with pytest.raises(CommandError) as raised:
        call_command("restore", str(file), "--force", stdout=StringIO(), stderr=StringIO())
    return str(raised.value)


@pytest.mark.usefixtures("made")
def test_a_restore_does_not_take_it_for_what_it_needs(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore, tmp_path: Path
) -> None:
    call_command("backup", str(tmp_path / "b.tar"), stdout=StringIO(), stderr=StringIO())
    keep(kubernetes, kubernetes_namespace)
    (kept,) = store.list()
    delete(store, kept.name)
    assert "is being deleted" in restored(tmp_path / "b.tar")


def test_a_restore_deletes_nothing_that_it_could_not_put_back(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    store: KubernetesStore,
    made: CreatedShare,
    tmp_path: Path,
) -> None:
    """The back-up has another content, the live object is well, and has a finalizer."""
    name = row_of(made).value_name
    good = store.get(name)
    store.delete(name)
    store.put(name, good[::-1])
    call_command("backup", str(tmp_path / "b.tar"), stdout=StringIO(), stderr=StringIO())
    store.delete(name)
    store.put(name, good)
    keep(kubernetes, kubernetes_namespace)
    assert "its finalizers keep it" in restored(tmp_path / "b.tar")
    set_finalizers(kubernetes, kubernetes_namespace, None)
    assert reveal_share(made.share_id, SERVICE).content == b"kept"


def test_values_that_stay_are_not_forgotten(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    store: KubernetesStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of several pieces too. One that stays keeps none from being deleted."""
    shares = [share("x" * 2_000_000) for _ in range(2)]
    keep(kubernetes, kubernetes_namespace)
    assert revoke_shares([row_of(each).pk for each in shares], SERVICE).values_left == 2
    assert not list(store.list()), "all pieces of both are marked as deleted"
    assert Leftover.objects.count() == 2
    reconcile_values()
    assert "2 of 2 values stay for now: an object is marked as deleted" in caplog.text
    assert "were not deleted" not in caplog.text
    assert Leftover.objects.count() == 2
    set_finalizers(kubernetes, kubernetes_namespace, None)
    assert kubernetes.names(kubernetes_namespace) == []
    assert reconcile_values() == 2
    assert not Leftover.objects.exists()


def test_an_opening_notes_it(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    made = share()
    keep(kubernetes, kubernetes_namespace)
    assert reveal_share(made.share_id, SERVICE).content == b"s3cret"
    assert Leftover.objects.count() == 1
