"""A back-up that lacks values says so by its exit status and its name; so does its restore."""

import tarfile
from pathlib import Path

import pytest

from audit_app.actors import SERVICE
from repositories_app.actions.secrets import read_secret
from tests.operations_app.backups.test_backup import Fill, Wipe, exit_of, said
from tests.repositories_app.support import opened, row
from tests.support.in_process.doubles import MemoryStore
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db(transaction=True)


def partial(file: Path) -> Path:
    return file.with_name("backup.tar.partial")


@pytest.mark.parametrize("store", ["database", "remote"])
def test_a_back_up_that_lacks_values_is_partial(
    fill: Fill, wipe: Wipe, file: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """By its exit status and by its name: a rotation must not take it for a good one."""
    remote = request.getfixturevalue("remote_store") if store == "remote" else None
    fill()
    gone = row("A").value_name
    if remote:
        del remote.values[gone]
    else:
        StoredValue.objects.filter(name=gone).delete()
    status, why = exit_of("backup", str(file))
    assert (status, "1 rows have no value" in why) == (3, True)
    assert [each.name for each in file.parent.iterdir()] == ["backup.tar.partial"]
    assert exit_of("backup", str(file))[0] == 3
    assert sorted(each.suffix for each in file.parent.iterdir()) == [".partial", ".partial1"]
    wipe()
    status, why = exit_of("restore", str(partial(file)))
    assert (status, "The restore is partial: 1 rows have no value" in why) == (3, True)
    assert read_secret(opened(), "B", SERVICE) == b"value b"


def test_a_partial_one_does_not_keep_a_whole_one_from_being_written(fill: Fill, file: Path) -> None:
    fill()
    gone = StoredValue.objects.get(name=row("A").value_name)
    StoredValue.objects.filter(name=gone.name).delete()
    assert exit_of("backup", str(file))[0] == 3
    StoredValue.objects.create(name=gone.name, sealed=gone.sealed)
    said("backup", str(file))
    assert file.exists()


def test_a_back_up_without_any_value_is_partial(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    fill()
    file.write_text("a good one")
    remote_store.values.clear()
    status, why = exit_of("backup", str(file), "--force")
    assert (status, "5 rows have no value" in why) == (3, True)
    assert file.read_text() == "a good one"
    assert tarfile.is_tarfile(partial(file))


@pytest.mark.parametrize("store", ["database", "remote"])
def test_what_is_known_to_be_lost_makes_no_back_up_partial(
    fill: Fill, wipe: Wipe, file: Path, store: str, request: pytest.FixtureRequest
) -> None:
    remote = request.getfixturevalue("remote_store") if store == "remote" else None
    fill()
    if remote:
        del remote.values[row("A").value_name]
    else:
        StoredValue.objects.filter(name=row("A").value_name).delete()
    said("fsck", "--repair", "--force")
    said("backup", str(file))
    wipe()
    said("restore", str(file))
