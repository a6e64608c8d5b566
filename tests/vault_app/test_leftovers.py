"""Values that outlive their rows are noted, and deleted as soon as that is possible."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from fugata_core.clock import now
from secrets_app.actions.reveal import reveal_share
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from vault_app import leftovers
from vault_app.deletion_hold import hold_deletions
from vault_app.errors import StoreUnavailable
from vault_app.models import Leftover
from vault_app.reconcile import Report, reconcile_all
from vault_app.stores.base import StoredObject

pytestmark = pytest.mark.django_db


def reports() -> dict[str, Report]:
    return dict(reconcile_all())


def test_what_a_back_up_held_goes_afterwards(remote_store: MemoryStore) -> None:
    shares = [share() for _ in range(3)]
    with hold_deletions():
        for each in shares:
            reveal_share(each.share_id, SERVICE)
        assert reports()["shares"].leftovers == 0
    assert len(remote_store.values) == 3
    assert reports()["shares"] == Report(leftovers=3)
    assert remote_store.values == {}
    assert not Leftover.objects.exists()


def test_what_a_store_did_not_delete_goes_when_it_does(remote_store: MemoryStore) -> None:
    reveal_failing(remote_store)
    assert reports()["shares"] == Report(values=1, failed=1, noted=1)
    with pytest.raises(CommandError, match="did not delete 1 of them"):
        call_command("reconcile_values", stdout=StringIO())
    assert Leftover.objects.count() == 1
    remote_store.failing = set()
    assert reports()["shares"].leftovers == 1
    assert remote_store.values == {}


def test_a_value_that_a_row_points_to_is_kept(remote_store: MemoryStore) -> None:
    """A row that came back, with a back-up of a database for instance."""
    made = share(one_time=False)
    leftovers.note("shares", remote_store.values)
    assert reports()["shares"].leftovers == 0
    assert reveal_share(made.share_id, SERVICE).content
    assert not Leftover.objects.exists()


def test_one_that_never_goes_keeps_no_other(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that holds some objects, for instance."""
    with hold_deletions():
        for made in [share() for _ in range(20)]:
            reveal_share(made.share_id, SERVICE)
    stuck, delete = sorted(remote_store.values)[:5], remote_store.delete

    def refuse(name: str, within: float) -> None:
        if name in stuck:
            raise StoreUnavailable("injected")
        delete(name, within)

    monkeypatch.setattr(remote_store, "delete", refuse)
    while len(remote_store.values) > len(stuck):
        assert reports()["shares"].failed
    assert leftovers.noted(stuck) == set(stuck) == set(remote_store.values)


def reveal_failing(store: MemoryStore) -> None:
    """Open a share whose value can't be deleted."""
    made = share()
    store.failing = {"delete"}
    reveal_share(made.share_id, SERVICE)


def test_what_can_not_be_noted_changes_no_answer(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatabaseError("injected")

    monkeypatch.setattr(Leftover.objects, "bulk_create", fail)
    reveal_failing(remote_store)
    assert "were not noted: DatabaseError" in caplog.text


@pytest.fixture
def aged(remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> dict[str, timedelta]:
    """The ages of values, by name; others are new."""
    ages: dict[str, timedelta] = {}

    def listing() -> Iterator[StoredObject]:
        return iter([StoredObject(name, ages.get(name)) for name in tuple(remote_store.values)])

    monkeypatch.setattr(remote_store, "list", listing)
    return ages


def test_noted_values_are_no_unexplained_ones(
    remote_store: MemoryStore, aged: dict[str, timedelta]
) -> None:
    reveal_failing(remote_store)
    (name,) = remote_store.values
    aged[name] = timedelta(days=30)
    dry = dict(reconcile_all(dry_run=True))
    assert dry["shares"].orphans == 0
    assert leftovers.noted([name, "another"]) == {name}


def test_those_of_a_store_that_is_not_in_use_do_not_count(
    remote_store: MemoryStore, settings: Settings
) -> None:
    """Values were moved into the database: nothing could be done about those outside."""
    note_old("shares", 3)
    assert (leftovers.overdue(), leftovers.waiting().count()) == (3, 3)
    settings.VALUE_STORE = {"BACKEND": "vault_app.stores.database.DatabaseStore", "OPTIONS": {}}
    assert (leftovers.overdue(), leftovers.waiting().count()) == (0, 0)


def note_old(app: str, count: int) -> None:
    leftovers.note(app, [f"value-{number}" for number in range(count)])
    Leftover.objects.update(since=now() - 2 * leftovers.OVERDUE)


def test_a_dry_run_counts_them_and_says_that_deletions_are_held(remote_store: MemoryStore) -> None:
    leftovers.note("shares", ["a", "b"])
    said = StringIO()
    with hold_deletions():
        call_command("reconcile_values", "--dry-run", stdout=said)
    assert "No value is deleted now, because a back-up or a restore is running." in said.getvalue()
    assert "shares: 0 leftovers deleted, 2 wait; nothing points to" in said.getvalue()
    assert Leftover.objects.count() == 2


def test_those_of_a_store_that_lacks_values_stay(remote_store: MemoryStore) -> None:
    """It may be another's: there each would be missing, which counts as deleted."""
    for _ in range(10):
        share()
    leftovers.note("shares", ["a leftover"])
    for name in list(remote_store.values)[:2]:
        del remote_store.values[name]
    report = reports()["shares"]
    assert (report.doubted, report.leftovers, report.noted) == (True, 0, 1)
