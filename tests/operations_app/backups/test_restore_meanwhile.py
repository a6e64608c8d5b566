"""What is deleted while a restore runs: never a value that it brings back."""

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection

from audit_app.actors import SERVICE
from fugata_core import turns
from fugata_core.clock import now
from fugata_core.turns import own_turn
from operations_app.backups import renewal
from operations_app.backups.reader import Reader
from operations_app.backups.renewal import beside_transaction
from operations_app.backups.restore import RestoreSummary, restore_backup
from repositories_app.actions.secrets import read_secret, set_secret
from secrets_app.actions.reveal import reveal_share
from tests.operations_app.backups.conftest import Everything
from tests.operations_app.backups.test_backup import Fill, Wipe, exit_of, said
from tests.repositories_app.support import opened, row
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.fixtures import Clock
from vault_app import deletion_hold, deletions, leftovers
from vault_app.deletion_hold import hold_deletions, is_deletion_held
from vault_app.errors import StoreUnavailable
from vault_app.models import DeletionHold, Leftover
from vault_app.reconcile import reconcile_all

pytestmark = pytest.mark.django_db(transaction=True)


def restored(file: Path, **options: Any) -> RestoreSummary:
    with Reader(file) as archive:
        return restore_backup(archive, **options)


@pytest.fixture
def backed_up(fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore) -> Everything:
    """Have a back-up, whose values are all noted as leftovers by now, and no rows."""
    everything = fill()
    said("backup", str(file))
    wipe()
    leftovers.note("shares", remote_store.values)
    return everything


@pytest.fixture
def better_here(fill: Fill, file: Path, remote_store: MemoryStore) -> Path:
    """Have a back-up that lacks all values, which have come back since."""
    fill()
    kept = dict(remote_store.values)
    remote_store.values.clear()
    assert exit_of("backup", str(file))[0] == 3
    remote_store.values.update(kept)
    return file.with_name("backup.tar.partial")


@pytest.fixture
def stopped(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only the wait for what is being deleted moves."""
    monkeypatch.undo()  # it waits after all
    for module in (deletions, deletion_hold):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_reconciliation_under_way_spares_what_comes_back(
    backed_up: Everything,
    file: Path,
    remote_store: MemoryStore,
    stopped: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch that began before is over, and the next one sees the rows."""
    delete = remote_store.delete

    def then_restore(name: str, within: float | None = None) -> None:
        monkeypatch.setattr(remote_store, "delete", delete)
        remote_store.delete(name, within)
        restored(file, keep_one_time=True, force=True)

    monkeypatch.setattr(remote_store, "delete", then_restore)
    assert [report.leftovers for _, report in reconcile_all()] == [0, 1]
    backed_up.assert_kept(one_time=True)
    assert not Leftover.objects.exists()


def test_reconciliation_in_the_midst_of_a_restore_deletes_nothing(
    backed_up: Everything, file: Path, remote_store: MemoryStore
) -> None:
    """The values are there, and their rows are not yet."""
    kept = dict(remote_store.values)

    def progress(what: str, count: int) -> None:
        if (what, count) == ("values", len(kept)):
            assert [report.leftovers for _, report in reconcile_all()] == [0, 0]

    restored(file, keep_one_time=True, force=True, progress=progress)
    assert remote_store.values == kept
    assert not is_deletion_held()
    reports = [report for _, report in reconcile_all()]
    assert not any(report.leftovers + report.orphans for report in reports)
    backed_up.assert_kept(one_time=True)


def test_what_a_stalled_process_deleted_is_put_again(
    backed_up: Everything, file: Path, remote_store: MemoryStore
) -> None:
    remote_store.before = {"list": remote_store.values.clear}
    assert restored(file, keep_one_time=True, force=True).gaps.lacking == 0
    remote_store.before = {}
    backed_up.assert_kept(one_time=True)


@pytest.mark.usefixtures("backed_up")
def test_what_can_not_be_put_again_is_missing(file: Path, remote_store: MemoryStore) -> None:
    def lose() -> None:
        remote_store.values.clear()
        remote_store.failing = {"put"}

    remote_store.before = {"list": lose}
    assert exit_of("restore", str(file), "--keep-one-time", "--force") == (
        3,
        "The restore is partial: 5 rows have no value that belongs to them. Values that went from"
        " the store meanwhile: 5. (Restore once more, with --force.) Not all values were seen in"
        " the store at the end (injected). See manage.py fsck.",
    )


def test_what_was_here_and_went_is_missing_too(
    better_here: Path, remote_store: MemoryStore
) -> None:
    """And is told from what the back-up lacked."""
    names = {key: row(key).value_name for key in "AB"}
    del remote_store.values[names["B"]]
    remote_store.before = {"list": lambda: remote_store.delete(names["A"])}
    assert exit_of("restore", str(better_here), "--keep-one-time", "--force") == (
        3,
        "The restore is partial: 2 rows have no value that belongs to them. Values that the back-up"
        " lacked: 1. (An earlier one may have more.) Values that went from the store meanwhile: 1."
        " (Restore once more, with --force.) See manage.py fsck.",
    )


@pytest.mark.usefixtures("backed_up")
def test_it_waits_before_it_puts(file: Path, remote_store: MemoryStore, stopped: Clock) -> None:
    """As long as a batch of deletions lasts, and the last of them."""
    began, put = stopped.monotonic(), list[float]()
    remote_store.before = {"put": lambda: put.append(stopped.monotonic() - began)}
    restored(file, force=True)
    assert min(put) > deletion_hold.BATCH_SECONDS + deletion_hold.DELETE_SECONDS


@pytest.mark.usefixtures("backed_up", "stopped")
def test_it_says_once_that_it_waits(file: Path) -> None:
    assert said("restore", str(file), "--force").count("Waiting 15 seconds until deletions") == 1


@pytest.mark.usefixtures("database_store")
def test_without_a_remote_store_it_waits_for_nothing(fill: Fill, file: Path) -> None:
    fill()
    said("backup", str(file))
    assert "Waiting" not in said("restore", str(file), "--force")


def test_rows_that_clients_make_meanwhile_are_not_missing(
    backed_up: Everything, file: Path, remote_store: MemoryStore
) -> None:
    """Where the service still runs: the back-up does not lack what came after it."""

    def make_one() -> None:
        remote_store.before = {}
        share("made meanwhile")

    remote_store.before = {"list": make_one}
    assert restored(file, keep_one_time=True, force=True).gaps.lacking == 0
    backed_up.assert_kept(one_time=True)


@pytest.mark.usefixtures("backed_up")
def test_it_renews_its_hold(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "RENEW_INTERVAL", -1.0)
    soon = now() + timedelta(minutes=1)

    def progress(what: str, count: int) -> None:
        if what == "values":
            assert count == 1 or DeletionHold.objects.get().until > soon
            DeletionHold.objects.update(until=soon)

    restored(file, force=True, progress=progress)


def test_it_renews_its_hold_while_it_looks_for_what_is_here(
    better_here: Path, remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "RENEW_INTERVAL", -1.0)
    soon, renewed = now() + timedelta(minutes=1), list[bool]()

    def shorten() -> None:
        renewed.append(DeletionHold.objects.get().until > soon)
        DeletionHold.objects.update(until=soon)

    remote_store.before = {"get": shorten}
    restored(better_here, force=True)
    assert renewed == [True] * 5


@pytest.mark.usefixtures("backed_up")
def test_it_renews_its_hold_while_rows_are_loaded(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where others see it, unless they can't write meanwhile anyway."""
    monkeypatch.setattr(renewal, "RENEW_INTERVAL", -1.0)
    seen = set[datetime]()

    def look() -> None:
        seen.add(DeletionHold.objects.get().until)

    def progress(what: str, count: int) -> None:
        if what == "rows":
            beside_transaction(look)()

    restored(file, force=True, progress=progress)
    assert len(seen) > 1 or connection.vendor == "sqlite"


def test_a_hold_that_ran_out_at_the_end_brings_the_old_rows_back(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    fill()
    said("backup", str(file))
    set_secret(opened(), "NEW", "a new value", SERVICE)
    with pytest.raises(deletion_hold.DeletionHoldLost):
        restored(file, force=True, progress=end_hold_with_rows)
    assert read_secret(opened(), "NEW", SERVICE) == b"a new value"


@pytest.mark.usefixtures("database_store")
def test_values_in_the_database_come_with_their_rows(fill: Fill, file: Path) -> None:
    """However long that takes."""
    everything = fill()
    said("backup", str(file))
    restored(file, keep_one_time=True, force=True, progress=end_hold_with_rows)
    everything.assert_kept(one_time=True)


def end_hold_with_rows(what: str, count: int) -> None:
    """Let the hold run out while rows are loaded."""
    if what == "rows":
        DeletionHold.objects.all().delete()


def test_a_hold_that_ran_out_ends_it(
    backed_up: Everything, file: Path, fill: Fill, remote_store: MemoryStore
) -> None:
    """Before any row is replaced."""

    def progress(what: str, count: int) -> None:
        assert what == "values"
        DeletionHold.objects.all().delete()

    with pytest.raises(deletion_hold.DeletionHoldLost):
        restored(file, force=True, progress=progress)


def test_leftovers_stay_noted(fill: Fill, file: Path, remote_store: MemoryStore) -> None:
    """Those of before, and those that the back-up knows: no row points to either."""
    everything = fill()
    leftovers.note("shares", ["older"])
    said("backup", str(file))
    leftovers.note("shares", ["newer"])
    with hold_deletions():
        reveal_share(everything.once.share_id, SERVICE)
    assert Leftover.objects.count() == 3
    restored(file, keep_one_time=True, force=True)
    assert leftovers.noted(["older", "newer", *remote_store.values]) == {"older", "newer"}
    everything.assert_kept(one_time=True)


def test_a_store_that_fails_at_the_end_is_said(
    backed_up: Everything, file: Path, remote_store: MemoryStore
) -> None:
    remote_store.failing = {"list"}
    unseen = "Not all values were seen in the store at the end (injected). See manage.py fsck."
    assert exit_of("restore", str(file), "--keep-one-time", "--force") == (3, unseen)
    backed_up.assert_kept(one_time=True)
    with pytest.raises(StoreUnavailable):
        list(reconcile_all())


@pytest.mark.usefixtures("backed_up")
def test_nobody_else_prepares_or_restores_meanwhile(
    file: Path, remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first value that is put to the last look at the store."""
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.0)
    refused = set[str]()

    def ask(when: str) -> None:
        with pytest.raises(CommandError, match="preparing or restoring"), own_turn():
            pass
        refused.add(when)

    remote_store.before = {when: partial(ask, when) for when in ("put", "list")}
    said("restore", str(file), "--force")
    assert refused == {"put", "list"}
