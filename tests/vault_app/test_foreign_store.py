"""A store that has nothing of what rows need is told from one that is merely empty."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.secrets_app.support import row_of, share
from tests.support.in_process.doubles import MemoryStore
from vault_app import leftovers, lost_values, presence, reconcile
from vault_app.models import Leftover
from vault_app.reconcile import reconcile_all
from vault_app.stores.base import StoredObject
from vault_app.tasks import reconcile_values

pytestmark = pytest.mark.django_db


def foreign() -> list[str]:
    return [app for app, report in reconcile_all() if report.foreign]


def test_a_store_without_any_value(remote_store: MemoryStore) -> None:
    assert foreign() == []
    share()
    assert foreign() == []
    remote_store.values.clear()
    assert foreign() == ["shares"]


def test_values_that_are_known_to_be_lost(remote_store: MemoryStore) -> None:
    share()
    remote_store.values.clear()
    lost_values.mark(Share.objects.values_list("value_name", flat=True))
    assert foreign() == []


def test_a_share_that_is_opened_and_one_that_is_made_meanwhile(remote_store: MemoryStore) -> None:
    first = share()

    def open_it() -> None:
        if remote_store.calls.count("list") == 1:  # of the other app's values
            return
        remote_store.before = {}
        reveal_share(first.share_id, SERVICE)
        kept = dict(remote_store.values)
        share()
        remote_store.values = kept  # the listing was made before

    remote_store.before = {"list": open_it}
    assert foreign() == []


def test_leftovers_are_not_forgotten_there(remote_store: MemoryStore) -> None:
    """Each would be missing, and count as deleted."""
    share()
    kept = dict(remote_store.values)
    leftovers.note("shares", ["a leftover"])
    remote_store.values.clear()
    assert foreign() == ["shares"]
    assert Leftover.objects.count() == 1
    remote_store.values = kept
    assert foreign() == []
    assert not Leftover.objects.exists()


@pytest.fixture
def newer(remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store with old values of a database that is newer than this one, from a dump."""
    made = [share() for _ in range(20)]
    names = [row_of(each).value_name for each in made]
    remote_store.values = {f"newer-{number}": b"" for number in range(20)}
    remote_store.values |= dict.fromkeys(names[:17], b"")

    def listing() -> Iterator[StoredObject]:
        names = tuple(remote_store.values)
        return iter([StoredObject(name, timedelta(days=2)) for name in names])

    monkeypatch.setattr(remote_store, "list", listing)
    monkeypatch.setattr(reconcile, "sealed_models", lambda: [Share])  # all of it is of one app
    return remote_store


def reconciled(*arguments: str) -> str:
    with pytest.raises(CommandError) as raised:
        call_command("reconcile_values", *arguments, stdout=StringIO())
    return str(raised.value)


def test_no_value_goes_where_rows_lack_values(
    newer: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Not by force, nor once they are marked, nor where the others are few."""
    before = dict(newer.values)
    said = reconciled("--force")
    assert said.startswith("shares: more than a tenth of the rows has no value in this store")
    assert "Do VALUE_STORE (and KUBERNETES_NAMESPACE) name" in said
    lost_values.mark(Share.objects.values_list("value_name", flat=True))
    assert "more than a tenth of the rows" in reconciled("--force")
    assert newer.values == before
    for number in range(19):
        del newer.values[f"newer-{number}"]
    assert reconcile_values() == 0
    assert "reconciliation of shares stopped: more than a tenth of the rows" in caplog.text
    assert "newer-19" in newer.values


def test_where_a_tenth_lacks_values_others_go_by_force(newer: MemoryStore) -> None:
    """Names are compared by batches."""
    (name, *_) = Share.objects.exclude(value_name__in=newer.values).values_list(
        "value_name", flat=True
    )
    newer.values[name] = b""
    call_command("reconcile_values", "--force", stdout=StringIO())
    assert len(newer.values) == 18


def test_batches(newer: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_BATCH", 7)
    assert presence.too_many_lack(Share, newer)
    Share.objects.exclude(value_name__in=newer.values).first().delete()  # type: ignore[union-attr]
    Share.objects.exclude(value_name__in=newer.values).first().delete()  # type: ignore[union-attr]
    assert not presence.too_many_lack(Share, newer)
