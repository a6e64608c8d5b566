"""What happens while a back-up is taken: it has the values of the rows that it read."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from audit_app.actors import SERVICE
from fugata_core.clock import now
from operations_app.backups import renewal, snapshot
from operations_app.backups.backup import take_backup
from repositories_app.actions.secrets import set_secret
from tests.operations_app.backups.test_backup import Fill, Wipe, said
from tests.repositories_app.support import opened, row
from tests.support.in_process.doubles import MemoryStore
from vault_app.models import DeletionHold, StoredValue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.tar"


@pytest.fixture
def set_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a secret set anew as soon as the rows were read."""
    consistent = snapshot.consistent_snapshot

    @contextmanager
    def then_set() -> Iterator[None]:
        with consistent():
            yield
        set_secret(opened(), "A", "a newer value", SERVICE)

    monkeypatch.setattr(snapshot, "consistent_snapshot", then_set)


@pytest.mark.usefixtures("set_meanwhile")
def test_values_are_those_of_the_rows_that_were_read(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore
) -> None:
    everything = fill()
    assert take_backup(file).gaps.lacking == 0
    wipe()
    remote_store.values.clear()
    said("restore", str(file), "--keep-one-time")
    everything.assert_kept(one_time=True)


@pytest.mark.usefixtures("set_meanwhile", "database_store")
def test_what_was_missing_when_rows_were_read_is_missing(fill: Fill, file: Path) -> None:
    fill()
    StoredValue.objects.filter(name=row("A").value_name).delete()
    assert take_backup(file).gaps.lacking == 1


def test_a_long_back_up_renews_its_hold(
    fill: Fill, file: Path, remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    monkeypatch.setattr(renewal, "RENEW_INTERVAL", -1.0)
    soon = now() + timedelta(minutes=1)

    def progress(what: str, count: int) -> None:
        if what == "values":
            assert count == 1 or DeletionHold.objects.get().until > soon
            DeletionHold.objects.update(until=soon)

    take_backup(file, progress)
