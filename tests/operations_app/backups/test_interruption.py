"""Ctrl-C and SIGTERM: what a restore that they end leaves, and says."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from operations_app.backups.interruption import ended_by_sigterm
from secrets_app.models import Share
from tests.operations_app.backups.conftest import Everything
from tests.operations_app.backups.test_backup import Fill, Wipe, exit_of, said
from tests.support.in_process.doubles import MemoryStore
from vault_app import reconcile
from vault_app.deletion_hold import is_deletion_held
from vault_app.stores.base import StoredObject

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def everything(fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore) -> Everything:
    """Have a back-up, and nothing else."""
    filled = fill()
    said("backup", str(file))
    wipe()
    remote_store.values.clear()
    return filled


def interrupted(file: Path, store: MemoryStore, operation: str, times: int, *more: str) -> str:
    """Return what a restore says to which Ctrl-C comes after it did something so many times."""
    counted = iter(range(99))

    def count() -> None:
        if next(counted) == times:
            raise KeyboardInterrupt

    store.before, errors = {operation: count}, StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("restore", str(file), "--keep-one-time", *more, stderr=errors)
    store.before = {}
    assert not is_deletion_held()
    return errors.getvalue()


def test_before_the_rows_it_can_be_started_again(
    everything: Everything, file: Path, remote_store: MemoryStore
) -> None:
    assert "No row was changed. It may have put" in interrupted(file, remote_store, "put", 2)
    assert (Share.objects.count(), len(remote_store.values)) == (0, 2)
    said("restore", str(file), "--keep-one-time")
    everything.assert_kept(one_time=True)


@pytest.mark.usefixtures("everything")
def test_or_what_it_put_is_deleted(
    file: Path, remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(file, remote_store, "put", 2)

    def a_day_later() -> Iterator[StoredObject]:
        names = tuple(remote_store.values)
        return iter([StoredObject(name, timedelta(days=1)) for name in names])

    monkeypatch.setattr(remote_store, "list", a_day_later)
    monkeypatch.setattr(reconcile, "sealed_models", lambda: [Share])  # all of it is of one app
    assert "2 of 2 values belong to no row" in exit_of("fsck", "--repair")[1]
    assert "Deleted: value without row, 2" in said("fsck", "--repair", "--force")
    assert remote_store.values == {}


def test_a_value_that_is_being_replaced_stays(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    """It is put after the attempt that conflicts, and a trial."""
    fill()
    said("backup", str(file))
    before = dict.fromkeys(remote_store.values, b"another value")
    remote_store.values = dict(before)
    interrupted(file, remote_store, "put", 2, "--force")
    assert remote_store.values == before


def test_after_the_rows_it_does_not_say_that_none_was_changed(
    everything: Everything, file: Path, remote_store: MemoryStore
) -> None:
    what = interrupted(file, remote_store, "list", 2)
    assert "at the very end: rows may have been replaced" in what
    assert "No row" not in what
    said("restore", str(file), "--keep-one-time", "--force")
    everything.assert_kept(one_time=True)


def test_a_second_sigterm_breaks_no_cleaning_up_off() -> None:
    """`timeout` sends one to the process, and one to its group."""
    before, cleaned = signal.getsignal(signal.SIGTERM), list[bool]()

    def clean_up() -> None:
        signal.raise_signal(signal.SIGTERM)
        cleaned.append(True)

    with ExitStack() as stack:
        stack.enter_context(pytest.raises(SystemExit, match="143"))
        stack.enter_context(ended_by_sigterm())
        stack.callback(clean_up)
        signal.raise_signal(signal.SIGTERM)
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) is before
