"""A back-up that lacks values says so by its exit status and its name; so does its restore."""

import tarfile
from pathlib import Path

import pytest

from audit_app.actors import SERVICE
from repositories_app.actions.secrets import read_secret
from secrets_app.models import Share
from tests.operations_app.backups.conftest import Everything
from tests.operations_app.backups.test_backup import Fill, Wipe, exit_of, said
from tests.repositories_app.support import opened, row
from tests.secrets_app.support import row_of, share
from tests.support.in_process.doubles import MemoryStore
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db(transaction=True)


class Values:
    """What is kept of values, in the database or outside."""

    def __init__(self, remote: MemoryStore | None) -> None:
        self._remote = remote

    def lose(self, *names: str) -> None:
        for name in names:
            if self._remote:
                del self._remote.values[name]
        StoredValue.objects.filter(name__in=names).delete()

    def change(self, name: str, sealed: bytes) -> bytes:
        """Have other bytes kept under the name; return what they were."""
        if self._remote:
            before, self._remote.values[name] = self._remote.values[name], sealed
            return before
        before = bytes(StoredValue.objects.get(name=name).sealed)
        StoredValue.objects.filter(name=name).update(sealed=sealed)
        return before

    def lose_all(self) -> None:
        if self._remote:
            self._remote.values.clear()
        StoredValue.objects.all().delete()


@pytest.fixture(params=["database", "remote"])
def values(request: pytest.FixtureRequest) -> Values:
    """Values in the database, then those outside (asked for before anything is put in)."""
    remote = request.param == "remote"
    return Values(request.getfixturevalue("remote_store") if remote else None)


def partial(file: Path) -> Path:
    return file.with_name("backup.tar.partial")


def test_a_back_up_that_lacks_values_is_partial(
    values: Values, fill: Fill, wipe: Wipe, file: Path
) -> None:
    """By its exit status and by its name: a rotation must not take it for a good one."""
    fill()
    values.lose(row("A").value_name)
    status, why = exit_of("backup", str(file))
    assert (status, "1 row has no value that belongs to it." in why) == (3, True)
    assert [each.name for each in file.parent.iterdir()] == ["backup.tar.partial"]
    assert exit_of("backup", str(file))[0] == 3
    assert sorted(each.suffix for each in file.parent.iterdir()) == [".partial", ".partial1"]
    wipe()
    values.lose_all()
    status, why = exit_of("restore", str(partial(file)))
    assert (status, why) == (
        3,
        "The restore is partial: 1 row has no value that belongs to it. Values that the back-up"
        " lacked: 1. (An earlier one may have more.) See manage.py fsck.",
    )
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


def test_few_that_are_known_to_be_lost_make_no_back_up_partial(
    values: Values, many: Everything, wipe: Wipe, file: Path
) -> None:
    """But it says that it lacks them."""
    values.lose(row("A").value_name)
    said("fsck", "--repair")
    assert "Values that it lacks, marked as lost: 1." in said("backup", str(file))
    wipe()
    values.lose_all()
    restored = said("restore", str(file))
    assert "Values that the back-up lacked, marked as lost: 1." in restored


def test_marks_do_not_make_a_back_up_without_values_a_whole_one(
    values: Values, fill: Fill, wipe: Wipe, file: Path
) -> None:
    """A wrong namespace, for instance, whose rows somebody marked by force."""
    fill()
    values.lose_all()
    exit_of("fsck", "--repair", "--force")
    status, why = exit_of("backup", str(file))
    assert (status, "5 rows have no value that belongs to them (marked as lost: 5)" in why) == (
        3,
        True,
    )
    assert [each.name for each in file.parent.iterdir()] == ["backup.tar.partial"]
    wipe()
    assert exit_of("restore", str(partial(file)), "--keep-one-time")[0] == 3


def test_more_than_a_tenth_of_one_app_s_is_too_much(
    values: Values, many: Everything, file: Path
) -> None:
    values.lose(row_of(many.many).value_name)
    said("fsck", "--repair")
    assert Share.objects.count() == 3
    assert exit_of("backup", str(file))[0] == 3


@pytest.mark.parametrize("kept", [b"", b"short", bytes(1000)], ids=["empty", "short", "long"])
def test_a_value_of_another_size_is_missing_and_replaces_none(
    values: Values, fill: Fill, file: Path, kept: bytes
) -> None:
    """It was emptied or cut, so nobody opens it; what came back meanwhile stays."""
    everything = fill()
    name = row("A").value_name
    before = values.change(name, kept)
    status, why = exit_of("backup", str(file))
    assert (status, "1 row has no value that belongs to it" in why) == (3, True)
    values.change(name, before)
    said("restore", str(partial(file)), "--force", "--keep-one-time")
    everything.assert_kept(one_time=True)


def test_one_is_one(wipe: Wipe, file: Path, remote_store: MemoryStore) -> None:
    share("the only one")
    assert " rows and 1 value are in " in said("backup", str(file))
    wipe()
    remote_store.values.clear()
    restored = said("restore", str(file))
    assert " rows and 1 value are back, 1 one-time share was closed." in restored
