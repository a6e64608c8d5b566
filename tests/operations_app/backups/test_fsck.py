"""fsck finds rows and values that do not belong together, and mends what can be mended."""

from datetime import timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from fugata_core.clock import iso, now
from operations_app.backups import fsck as fsck_module
from operations_app.backups import repair as repair_module
from operations_app.backups.fsck import Examination, Inconsistency, Kind, examine
from operations_app.backups.repair import DeletionsHeld, TooMuchMissing, repair, require_most
from repositories_app.actions.repositories import delete_repositories
from repositories_app.actions.secrets import remove_secret, set_secret
from repositories_app.models import RepositorySecret
from secrets_app.models import Share
from tests.operations_app.backups.conftest import Everything
from tests.operations_app.backups.test_backup import Fill
from tests.repositories_app.support import OTHERS, opened, row
from tests.secrets_app.support import row_of, share
from tests.support.in_process.doubles import MemoryStore, backend
from tests.support.in_process.keys import use_keys
from vault_app import leftovers, lost_values
from vault_app.deletion_hold import hold_deletions
from vault_app.errors import VaultError
from vault_app.models import (
    DeletionHold,
    Installation,
    KeyEncryptionKey,
    Leftover,
    LostValue,
    Sealed,
    StoredValue,
)

pytestmark = pytest.mark.django_db


def fsck(*arguments: str) -> str:
    out = StringIO()
    call_command("fsck", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    """Return what is said at the end, where something is wrong."""
    with pytest.raises(CommandError) as raised:
        fsck(*arguments)
    return str(raised.value)


def done(*arguments: str) -> str:
    """Return all that is said, well or not."""
    out = StringIO()
    try:
        call_command("fsck", *arguments, stdout=out)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue()


def test_an_installation_that_is_well(fill: Fill, remote_store: MemoryStore) -> None:
    fill()
    assert "All 5 rows have values" in fsck()


def test_an_installation_with_values_in_the_database(fill: Fill) -> None:
    fill()
    assert "All 5 rows have values" in fsck()


def test_an_empty_installation_is_not_said_to_be_well() -> None:
    """It may be one whose restore failed, or whose DATABASE_URL names another database."""
    assert fsck() == "0 rows: nothing is kept here.\n"


def test_one_row() -> None:
    share("the only one")
    assert "All 1 row has a value that belongs to it, and the keys are at hand." in fsck()


def test_the_label_of_its_objects_is_said() -> None:
    """Those that are left in Kubernetes after a move are deleted by it."""
    assert "label" not in fsck()
    label = f"app.kubernetes.io/instance={Installation.identity()}."
    assert label in fsck()


def test_a_row_without_its_value_is_marked_and_stays(many: Everything) -> None:
    """It has the only copy of the data key: the value may come back."""
    gone = StoredValue.objects.get(name=row("A").value_name)
    StoredValue.objects.filter(name=gone.name).delete()
    assert refused().startswith("row without value: 1. manage.py fsck --repair marks rows")
    said = fsck("--repair")
    assert "Marked: row without value, 1" in said
    assert "1 of 25 rows has lost its value (marked). Do VALUE_STORE" in said
    assert RepositorySecret.objects.filter(secret_key="A").exists()
    said = fsck()
    assert "1 of 25 rows has lost its value" in said, "so few that are known are no failure"
    assert "All 24 other rows have values" in said
    StoredValue.objects.create(name=gone.name, sealed=gone.sealed)
    assert refused() == "value that is back: 1. manage.py fsck --repair takes the marks off."
    assert "No longer marked: value that is back, 1" in fsck("--repair")
    assert "lost" not in fsck()
    many.assert_kept(one_time=True)


def test_marks_go_with_what_they_were_for(many: Everything) -> None:
    for key in ("A", "B"):
        StoredValue.objects.filter(name=row(key).value_name).delete()
    fsck("--repair")
    assert lost_values.rows_marked() == 2
    set_secret(opened(), "A", "set again", SERVICE)
    remove_secret(opened(), "B", SERVICE)
    assert lost_values.rows_marked() == 0
    assert "(marked)" not in fsck("--repair")
    assert not LostValue.objects.exists()


def test_marks_are_set_once_and_all_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two may repair at once."""
    monkeypatch.setattr(lost_values, "_BATCH", 2)
    names = [str(number) for number in range(5)]
    lost_values.mark(names[:3])
    lost_values.mark(names)
    assert lost_values.marked_names() == set(names)
    lost_values.unmark(names)
    assert lost_values.marked_names() == set()


def test_more_than_a_tenth_is_marked_only_by_force(many: Everything) -> None:
    rows = RepositorySecret.objects.exclude(secret_key__in="AB")[:3]
    StoredValue.objects.filter(name__in=[each.value_name for each in rows]).delete()
    said = refused("--repair")
    assert said.startswith("Nothing was repaired. 3 of 25 rows have no value")
    assert "KUBERNETES_NAMESPACE" in said
    assert not LostValue.objects.exists()
    said = done("--repair", "--force")
    assert "Marked: row without value, 3" in said
    assert RepositorySecret.objects.count() == 22
    assert "3 of 25 rows have lost their value (marked). Do VALUE_STORE" in said
    assert refused().startswith("3 of 25 rows have lost their value (marked)."), "it stays one"


def test_marks_count_towards_the_tenth(many: Everything) -> None:
    """Else all are marked in the end, a few at a time, and each time all is said to be well."""
    values = [each.value_name for each in RepositorySecret.objects.exclude(secret_key__in="AB")]
    for name, lost in zip(values, ("1 of 25 rows has", "2 of 25 rows have"), strict=False):
        StoredValue.objects.filter(name=name).delete()
        assert f"{lost} lost" in fsck("--repair")
    StoredValue.objects.filter(name=values[2]).delete()
    said = refused("--repair")
    assert said.startswith("Nothing was repaired. 3 of 25 rows have no value (marked: 2)")
    assert LostValue.objects.count() == 2


def test_what_comes_next_is_said_without_a_repair(many: Everything) -> None:
    StoredValue.objects.all().delete()
    said = refused()
    assert said.startswith("row without value: 25. 25 of 25 rows have no value, which is more")
    assert "The store has nothing of this installation. Do VALUE_STORE" in said
    assert "fsck --repair --force marks the rows, and deletes nothing" in said


def test_where_rows_lack_values_no_value_goes(many: Everything) -> None:
    """They may belong to a newer database than this one, which is from an old dump."""
    rows = RepositorySecret.objects.exclude(secret_key__in="AB")[:3]
    StoredValue.objects.filter(name__in=[each.value_name for each in rows]).delete()
    for number in range(10):
        StoredValue.objects.create(name=f"newer-{number}", sealed=b"x")
    kept = StoredValue.objects.count()
    assert "deletes nothing" in refused("--repair")
    for _ in ("they are marked", "and stay so"):
        assert refused("--repair", "--force").startswith("value without row: 10. 3 of 25 rows")
        assert StoredValue.objects.count() == kept
    assert "3 of 25 rows have no value (marked: 3)" in refused("--repair")


@pytest.mark.usefixtures("many")
def test_where_values_and_keys_are_missing_no_value_goes(settings: Settings) -> None:
    """A row without both lacks its value first of all."""
    StoredValue.objects.all().delete()
    for number in range(10):
        StoredValue.objects.create(name=f"newer-{number}", sealed=b"x")
    use_keys(settings, "other:" + "B" * 43 + "=")
    assert "row without value: 25" in refused()
    refused("--repair", "--force")
    assert StoredValue.objects.count() == 10


def test_many_marks() -> None:
    """More than the parameters that a statement may have."""
    names = [f"{number:032x}" for number in range(70_000)]
    lost_values.mark(names)
    lost_values.mark(names[:10])
    assert LostValue.objects.count() == 70_000
    lost_values.unmark(names[:-1])
    assert lost_values.marked_names() == {names[-1]}


def test_a_repository_that_is_deleted_meanwhile_is_nothing(
    many: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, deletions = fsck_module._check_value, iter([OTHERS])

    def delete_first(row: Sealed, data_key: bytes | VaultError, sealed: bytes) -> None:
        for name in deletions:
            delete_repositories([name])
        check(row, data_key, sealed)

    monkeypatch.setattr(fsck_module, "_check_value", delete_first)
    assert "rows have values that belong to them" in fsck()


def test_the_wrong_store_changes_nothing(many: Everything, settings: Settings) -> None:
    """Whatever is said: rows stay, and all is well as soon as the store is the right one."""
    right, wrong = settings.VALUE_STORE, backend(MemoryStore())
    settings.VALUE_STORE = wrong
    assert "The store has nothing of this installation" in refused("--repair")
    said = done("--repair", "--force")
    assert "Marked: row without value, 25" in said
    assert "25 of 25 rows have lost their value (marked)." in said
    assert "The values of 25 rows are in the database, but VALUE_STORE names another" in said
    settings.VALUE_STORE = right
    assert "No longer marked: value that is back, 25" in fsck("--repair")
    many.assert_kept(one_time=True)


def test_a_row_that_goes_while_it_is_examined_is_nothing(
    many: Everything, remote_store: MemoryStore
) -> None:
    set_secret(opened(), "goes", "value", SERVICE)
    set_secret(opened(), "changes", "value", SERVICE)

    def change() -> None:
        remote_store.before = {}
        remove_secret(opened(), "goes", SERVICE)
        set_secret(opened(), "changes", "another", SERVICE)

    remote_store.before = {"get": change}
    found = {each.what for each in examine().found if each.kind == Kind.MISSING}
    assert len(found) == 25, "those whose values are in the database"


def test_values_without_rows(many: Everything) -> None:
    StoredValue.objects.create(name="nobody", sealed=b"x")
    assert refused() == "value without row: 1. manage.py fsck --repair deletes values without rows."
    assert "Deleted: value without row, 1" in fsck("--repair")
    assert not StoredValue.objects.filter(name="nobody").exists()
    many.assert_kept(one_time=True)


def test_a_name_of_a_forged_value_writes_nothing_else_to_the_terminal() -> None:
    StoredValue.objects.create(name="\x1b[2Jv", sealed=b"x")
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("fsck", stdout=out)
    assert "value \\u001b[2Jv belongs to no row" in out.getvalue()


def test_more_than_a_tenth_is_deleted_only_by_force(many: Everything) -> None:
    for number in range(3):
        StoredValue.objects.create(name=f"nobody-{number}", sealed=b"x")
    assert refused("--repair").startswith("Nothing was repaired. 3 of 28 values belong to no row")
    assert StoredValue.objects.count() == 28
    assert "Deleted: value without row, 3" in fsck("--repair", "--force")
    assert StoredValue.objects.count() == 25


@pytest.mark.parametrize("kind", [Kind.MISSING, Kind.ORPHAN])
def test_a_tenth_is_not_more_than_a_tenth(kind: Kind) -> None:
    found = [Inconsistency(kind, "what")] * 2
    require_most(Examination(found, rows=20, values=20))
    with pytest.raises(TooMuchMissing, match="2 of 19"):
        require_most(Examination(found, rows=19, values=19))


def test_a_store_without_orphans_is_listed_once(fill: Fill, remote_store: MemoryStore) -> None:
    fill()
    fsck("--repair")
    assert remote_store.calls.count("list") == 2, "once for each app"


def test_values_that_do_not_open_stay(fill: Fill) -> None:
    everything = fill()
    secret, share = row("A"), row_of(everything.many)
    StoredValue.objects.filter(name=secret.value_name).update(sealed=b"\1" + bytes(60))
    StoredValue.objects.filter(name=share.value_name).update(sealed=b"\1" + bytes(60))
    assert refused("--repair") == "value does not open: 2."
    assert RepositorySecret.objects.filter(pk=secret.pk).exists()
    assert Share.objects.filter(pk=share.pk).exists()


def test_swapped_values_do_not_open(fill: Fill) -> None:
    fill()
    a, b = row("A"), row("B")
    RepositorySecret.objects.filter(pk=a.pk).update(value_name=b.value_name)
    RepositorySecret.objects.filter(pk=b.pk).update(value_name=a.value_name)
    assert refused() == "value does not open: 2."


def test_a_missing_key(fill: Fill, settings: Settings) -> None:
    fill()
    use_keys(settings, "other:" + "B" * 43 + "=")
    assert refused("--repair").startswith("key missing: 5. Restore the keys")
    assert KeyEncryptionKey.objects.filter(id="test").exists()
    assert Share.objects.count() == 3


def test_a_store_that_fails(fill: Fill, remote_store: MemoryStore) -> None:
    fill()
    remote_store.failing = {"get"}
    assert refused("--repair").startswith("The check broke off")
    assert Share.objects.count() == 3


def test_a_database_that_fails(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it needs is said; what it says itself may quote what is stored."""

    def fail(*_: object, **__: object) -> None:
        cause = psycopg.errors.DuplicatePreparedStatement("s3cret")
        raise ProgrammingError("s3cret") from cause

    fill()
    monkeypatch.setattr(StoredValue.objects, "values_list", fail)
    said = refused()
    assert said.startswith("The check broke off: the database did not answer: ")
    assert "?prepare_threshold=none" in said
    assert "s3cret" not in said


def test_values_that_could_not_be_deleted_are_mentioned(
    fill: Fill, remote_store: MemoryStore
) -> None:
    fill()
    leftovers.note("shares", ["a", "b", "c"])
    Leftover.objects.exclude(name="c").update(since=now() - timedelta(days=2))
    assert "2 values that nothing points to could not be deleted for more than a day" in fsck()
    Leftover.objects.update(since=now())
    assert "could not be deleted" not in fsck()


def test_nothing_is_repaired_while_deletions_are_held(many: Everything) -> None:
    """A restore's values come before their rows: they are of no row until it ends."""
    StoredValue.objects.create(name="nobody", sealed=b"x")
    with hold_deletions():
        until = iso(DeletionHold.objects.get().until)
        expected = (
            "Nothing was repaired. A back-up or a restore is running, and holds deletions: run this"
            f" again when it has ended. If it was killed, its hold ends by itself at {until}."
        )
        assert done("--repair", "--force") == expected, "before anything is read"
        assert refused().startswith("value without row: 1.")
        with pytest.raises(DeletionsHeld):
            repair(examine())
    assert "Deleted: value without row, 1" in fsck("--repair")


def test_a_hold_that_ran_out_keeps_nobody_from_repairing(many: Everything) -> None:
    DeletionHold.objects.create(until=now() - timedelta(seconds=1))
    StoredValue.objects.create(name="nobody", sealed=b"x")
    assert "Deleted: value without row, 1" in fsck("--repair")


@pytest.mark.usefixtures("many")
def test_no_value_goes_once_deletions_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a restore begins while rows are being marked."""
    StoredValue.objects.create(name="nobody", sealed=b"x")

    def hold() -> None:
        DeletionHold.objects.create(until=now() + timedelta(minutes=1))

    monkeypatch.setattr(repair_module, "forget_unused", hold)
    assert refused("--repair").startswith("value without row: 1.")
    assert StoredValue.objects.filter(name="nobody").exists()
