"""Reconciliation over real objects: orphans go, and nothing else does."""

import logging
import tracemalloc
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from repositories_app.actions.repositories import create_repository
from repositories_app.models import RepositorySecret
from secrets_app.models import Share
from tests.secrets_app.support import new_share
from tests.support.faults.faulty import FaultyProxy
from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.stores import set_options
from tests.support.servers.kubernetes import ADMIN_TOKEN, Json, KubernetesServer
from vault_app import reconcile as reconciliation
from vault_app.models import Installation
from vault_app.reconcile import Report, reconcile, reconcile_all
from vault_app.stores.kubernetes import PIECE_SIZE, KubernetesStore
from vault_app.tasks import reconcile_values

pytestmark = pytest.mark.django_db

PAGE_SIZE = 100
OLD = "2020-01-01T00:00:00Z"


def names(start: int, count: int) -> list[str]:
    return [f"{number:032x}" for number in range(start, start + count)]


def planted(name: str, stamp: str = OLD, **labels: str) -> Json:
    """Return an object as this installation keeps shares' values, but for `labels`."""
    own = {
        "app.kubernetes.io/managed-by": "fugata",
        "app.kubernetes.io/instance": Installation.identity(),
        "app.kubernetes.io/component": "shares",
    }
    given = {f"app.kubernetes.io/{key.replace('_', '-')}": text for key, text in labels.items()}
    metadata = {"name": f"fugata-{name}", "labels": own | given, "creationTimestamp": stamp}
    return {"metadata": metadata, "immutable": True, "data": {"sealed": "c2VhbGVk"}}


def rows(value_names: list[str]) -> None:
    """Write a share for each value."""
    shares = [new_share(value_name=name) for name in value_names]
    Share.objects.bulk_create(shares, batch_size=500)


def hours_ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def peak_of(act: Callable[[], object]) -> int:
    """Return how many bytes more than before were in use at once."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_pages(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    faulty_store: KubernetesStore,
    faulty: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No value is read, names are compared in batches, and 20 pages take the memory of two."""
    monkeypatch.setattr("vault_app.stores.kubernetes.PAGE_SIZE", PAGE_SIZE)
    monkeypatch.setattr(reconciliation, "BATCH", PAGE_SIZE)
    used, orphans = names(0, 20 * PAGE_SIZE - 50), names(20 * PAGE_SIZE, 50)
    kubernetes.plant(kubernetes_namespace, map(planted, used[: 2 * PAGE_SIZE]))
    rows(used)
    reconcile(faulty_store, Share.values_in_use)  # what is allocated once
    of_two = peak_of(lambda: reconcile(faulty_store, Share.values_in_use))
    foreign = [
        planted(f"{1:032x}-other", instance="another installation's"),
        planted(f"{2:032x}-other", component="repositories"),
        planted(f"{3:032x}-other", managed_by="another program"),
        {"metadata": {"name": "no-labels", "creationTimestamp": OLD}, "data": {"sealed": "AAAA"}},
    ]
    kubernetes.plant(kubernetes_namespace, map(planted, used[2 * PAGE_SIZE :] + orphans))
    kubernetes.plant(kubernetes_namespace, foreign)
    faulty.seen.clear()
    batches: list[int] = []

    def in_use(some: Collection[str]) -> set[str]:
        batches.append(len(some))
        return Share.values_in_use(some)

    reports: list[Report] = []
    peak = peak_of(lambda: reports.append(reconcile(faulty_store, in_use)))
    assert reports == [Report(20 * PAGE_SIZE, 50, 50)]
    assert batches == [*[PAGE_SIZE] * 20, 50]  # and the orphans once more
    left = set(kubernetes.names(kubernetes_namespace))
    assert left == {f"fugata-{name}" for name in used} | {
        manifest["metadata"]["name"] for manifest in foreign
    }
    reads = [request for request in faulty.seen if request.method == "GET"]
    assert len(reads) <= 20 + 1
    assert all("PartialObjectMetadataList" in request.accept for request in reads)
    assert peak < 2 * of_two, f"{peak} bytes, and {of_two} for two pages"


def test_what_is_younger_than_a_day_stays(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    """A value is written before its row."""
    young, old = planted(names(1, 1)[0], hours_ago(23.9)), planted(names(2, 1)[0], hours_ago(24.1))
    kubernetes.plant(kubernetes_namespace, [young, old])
    assert reconcile(store, Share.values_in_use, force=True) == Report(2, 1, 1)
    assert kubernetes.names(kubernetes_namespace) == [young["metadata"]["name"]]


def test_rows_are_asked_after_the_names_were_listed(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    """A row that comes while the names are listed, or while they are compared, is respected."""
    value_names = names(0, 20)
    kubernetes.plant(kubernetes_namespace, map(planted, value_names))
    rows(value_names[:18])
    asked: list[list[str]] = []

    def in_use(some: Collection[str]) -> set[str]:
        found = Share.values_in_use(some)
        asked.append(sorted(some))
        if len(asked) == 1:
            rows(value_names[18:19])
        return found

    assert reconcile(store, in_use) == Report(20, 2, 1)
    assert asked == [value_names, value_names[18:]]
    assert len(kubernetes.names(kubernetes_namespace)) == 19


@pytest.mark.parametrize(("orphans", "deleted"), [(1, 1), (2, 2), (3, 0)])
def test_more_than_a_tenth_takes_force(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    store: KubernetesStore,
    orphans: int,
    deleted: int,
) -> None:
    value_names = names(0, 20)
    kubernetes.plant(kubernetes_namespace, map(planted, value_names))
    rows(value_names[orphans:])
    assert reconcile(store, Share.values_in_use, seconds=None) == Report(20, orphans, 0)
    expected = Report(20, orphans, deleted, refused=not deleted)
    assert reconcile(store, Share.values_in_use) == expected
    assert len(kubernetes.names(kubernetes_namespace)) == 20 - deleted
    if not deleted:
        assert reconcile(store, Share.values_in_use, force=True) == Report(20, orphans, orphans)
        assert len(kubernetes.names(kubernetes_namespace)) == 20 - orphans


def test_a_second_database_that_is_empty_deletes_nothing(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    kubernetes.plant(kubernetes_namespace, map(planted, names(0, 50)))
    assert reconcile(store, Share.values_in_use) == Report(50, 50, 0, refused=True)
    assert len(kubernetes.names(kubernetes_namespace)) == 50


def test_what_is_left_of_a_value_in_pieces(
    kubernetes: KubernetesServer, kubernetes_namespace: str, store: KubernetesStore
) -> None:
    """Without its first piece it is listed by the others, and deleted whole."""
    kept, left = store.new_name(3 * PIECE_SIZE), store.new_name(3 * PIECE_SIZE)
    for name in (kept, left):
        store.put(name, bytes(3 * PIECE_SIZE))
    kubernetes.age(kubernetes_namespace)
    kubernetes.delete_secret(kubernetes_namespace, f"fugata-{left}")
    rows([kept])
    assert reconcile(store, Share.values_in_use, force=True) == Report(2, 1, 1)
    assert store.get(kept) == bytes(3 * PIECE_SIZE)
    assert len(kubernetes.names(kubernetes_namespace)) == 3


def test_a_run_deletes_so_many_at_most_and_the_next_goes_on(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    store: KubernetesStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciliation, "MAX_DELETED", 3)
    monkeypatch.setattr(reconciliation, "BATCH", 2)
    kubernetes.plant(kubernetes_namespace, map(planted, names(0, 5)))
    assert reconcile(store, Share.values_in_use, force=True) == Report(5, 5, 3)
    assert reconcile(store, Share.values_in_use, force=True) == Report(2, 2, 2)
    assert kubernetes.names(kubernetes_namespace) == []


@pytest.fixture
def both(kubernetes: KubernetesServer, kubernetes_namespace: str) -> None:
    """Twenty values of each app, one of them an orphan."""
    shares, secrets = names(0, 20), names(100, 20)
    kubernetes.plant(kubernetes_namespace, map(planted, shares))
    others = (planted(name, component="repositories") for name in secrets)
    kubernetes.plant(kubernetes_namespace, others)
    rows(shares[1:])
    repository = create_repository("repo", "alice")
    columns = {"wrapped_key": b"wrapped", "key_id": "test", "size": 1}
    RepositorySecret.objects.bulk_create(
        RepositorySecret(repository=repository, secret_key=name, value_name=name, **columns)
        for name in secrets[1:]
    )


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("reconcile_values", *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.usefixtures("both")
def test_the_command(kubernetes: KubernetesServer, kubernetes_namespace: str) -> None:
    waiting = "nothing points to 1 of 20 values; none was deleted."
    assert command("--dry-run") == f"repositories: {waiting}\nshares: {waiting}\n"
    assert len(kubernetes.names(kubernetes_namespace)) == 40
    done = "nothing points to 1 of 20 values; 1 deleted."
    assert command() == f"repositories: {done}\nshares: {done}\n"
    assert len(kubernetes.names(kubernetes_namespace)) == 38
    Share.objects.all().delete()
    with pytest.raises(CommandError, match="--force"):
        command()
    assert len(kubernetes.names(kubernetes_namespace)) == 38
    assert "19 deleted" in command("--force")
    assert len(kubernetes.names(kubernetes_namespace)) == 19


@pytest.mark.usefixtures("both")
def test_the_task(
    kubernetes: KubernetesServer, kubernetes_namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert reconcile_values() == 2
    Share.objects.all().delete()
    with caplog.at_level(logging.ERROR):
        assert reconcile_values() == 0
    assert "reconcile_values --force" in caplog.text
    assert len(kubernetes.names(kubernetes_namespace)) == 38


@pytest.mark.usefixtures("both")
def test_a_store_that_has_nothing_of_ours(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A listing of a namespace that does not exist is a valid empty list."""
    set_options(settings, namespace="nowhere", kubeconfig=str(kubernetes.kubeconfig(ADMIN_TOKEN)))
    with pytest.raises(CommandError, match="no value of repositories and shares, though"):
        command()
    assert reconcile_values() == 0
    assert "the value store has no value of shares, though rows need some. Do" in caplog.text
    assert len(kubernetes.names(kubernetes_namespace)) == 40


@pytest.mark.parametrize("before", [[], ["goes"]])
def test_rows_that_come_or_go_meanwhile_have_no_value_there(
    remote_store: MemoryStore, before: list[str]
) -> None:
    rows(before)
    apps = iter(["repositories", "shares"])

    def change() -> None:
        if next(apps) == "shares" and not Share.objects.all().delete()[0]:
            rows(["comes"])

    remote_store.before = {"list": change}
    assert not any(report.foreign for _, report in reconcile_all())
    assert Share.objects.exists() is not bool(before)


@pytest.mark.usefixtures("kubernetes_namespace")
def test_a_new_installation_has_nothing_anywhere() -> None:
    assert "0 of 0" in command()


def test_a_store_that_is_down(faulty_store: KubernetesStore, faulty: FaultyProxy) -> None:
    faulty.fail("answer", status=403)
    with pytest.raises(CommandError, match="403"):
        command()
    assert reconcile_values() == 0
