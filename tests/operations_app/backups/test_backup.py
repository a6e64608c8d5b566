"""A back-up brings everything back, whatever the store; and what is wrong with it is said."""

import json
import tarfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from audit_app import chain
from audit_app.actors import SERVICE
from audit_app.models import AuditEvent
from audit_app.verify import verify
from operations_app.backups.archive import SIGNATURE
from operations_app.backups.backup import take_backup
from operations_app.backups.reader import Reader
from operations_app.backups.restore import _restore_identity
from operations_app.backups.rows import tables
from repositories_app.actions.secrets import read_secret, set_secret
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import ShareNotFound
from secrets_app.models import Share
from tests.operations_app.backups.archives import Change, rewritten, signed
from tests.operations_app.backups.conftest import Everything
from tests.repositories_app.support import opened
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore, backend
from vault_app.deletion_hold import DeletionHoldLost, hold_deletions, is_deletion_held
from vault_app.errors import StoreUnavailable
from vault_app.models import DeletionHold, Installation, StoredValue

pytestmark = pytest.mark.django_db(transaction=True)

Fill = Callable[[], Everything]
Wipe = Callable[[], None]


def said(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def counts() -> dict[str, int]:
    return {m._meta.label: m._base_manager.count() for m in tables()}


def test_a_round_trip(fill: Fill, wipe: Wipe, file: Path) -> None:
    everything = fill()
    identity, head, before = Installation.identity(), chain.head(), counts()
    assert "rows and 0 values are in" in said("backup", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    wipe()
    assert "0 one-time shares were closed" in said("restore", str(file), "--keep-one-time")
    assert counts() == before
    assert Installation.identity() == identity
    everything.assert_kept(one_time=True)
    assert verify([head]).problem is None
    assert share("new rows get new numbers")


def test_a_round_trip_with_a_remote_store(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore
) -> None:
    everything = fill()
    kept = dict(remote_store.values)
    assert f"and {len(kept)} values" in said("backup", str(file))
    wipe()
    remote_store.values.clear()
    said("restore", str(file), "--keep-one-time")
    assert remote_store.values == kept
    everything.assert_kept(one_time=True)


def test_one_time_shares_are_closed_unless_told_otherwise(
    fill: Fill, wipe: Wipe, file: Path
) -> None:
    everything = fill()
    said("backup", str(file))
    wipe()
    assert "2 one-time shares were closed" in said("restore", str(file))
    everything.assert_kept(one_time=False)
    with pytest.raises(ShareNotFound):
        reveal_share(everything.once.share_id, SERVICE)
    events = AuditEvent.objects.filter(username="restore", kind="deleted")
    assert events.count() == 2


def test_what_changes_meanwhile_is_consistent(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore
) -> None:
    """Rows that go after the snapshot leave their values until the back-up has them."""
    everything = fill()
    changed: list[int] = []

    def progress(what: str, count: int) -> None:
        if what == "values" and not changed:
            changed.append(count)
            set_secret(opened(), "A", "a newer value", SERVICE)
            reveal_share(everything.once.share_id, SERVICE)

    taken = take_backup(file, progress)
    assert changed
    assert taken.gaps.lacking == 0
    assert not is_deletion_held()
    assert read_secret(opened(), "A", SERVICE) == b"a newer value"
    wipe()
    remote_store.values.clear()
    said("restore", str(file), "--keep-one-time")
    everything.assert_kept(one_time=True)


def test_a_hold_holds_deletions_and_ends(fill: Fill, remote_store: MemoryStore) -> None:
    everything = fill()
    before = len(remote_store.values)
    with hold_deletions():
        assert is_deletion_held()
        reveal_share(everything.once.share_id, SERVICE)
        assert len(remote_store.values) == before
    assert not is_deletion_held()
    set_secret(opened(), "A", "again", SERVICE)
    assert len(remote_store.values) == before
    assert DeletionHold.objects.count() == 0


def test_a_hold_that_ran_out_ends_the_back_up(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    fill()

    def progress(what: str, count: int) -> None:
        if what == "values":
            DeletionHold.objects.update(until="2020-01-01T00:00:00Z")

    with pytest.raises(DeletionHoldLost):
        take_backup(file, progress)
    assert not file.exists()
    assert not is_deletion_held()


def test_a_store_that_fails_leaves_no_file(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    fill()
    remote_store.failing = {"get"}
    with pytest.raises(CommandError, match="No back-up was written"):
        said("backup", str(file))
    assert list(file.parent.iterdir()) == []
    assert not is_deletion_held()


def exit_of(*arguments: str) -> tuple[int, str]:
    """Return the exit status of a command that does not end well, and what it says."""
    with pytest.raises(CommandError) as raised:
        said(*arguments)
    return raised.value.returncode, str(raised.value)


def test_values_move_from_the_database_to_a_store_outside(
    fill: Fill, wipe: Wipe, file: Path, settings: Settings
) -> None:
    everything = fill()
    StoredValue.objects.create(name="nobody", sealed=b"of no row")
    said("backup", str(file))
    wipe()
    settings.VALUE_STORE = backend(store := MemoryStore())
    assert "and 5 values are back" in said("restore", str(file), "--keep-one-time")
    assert len(store.values) == 5
    assert not StoredValue.objects.exists()
    everything.assert_kept(one_time=True)


def test_values_that_moved_leave_the_database(fill: Fill, file: Path, settings: Settings) -> None:
    fill()
    said("backup", str(file))
    settings.VALUE_STORE = backend(MemoryStore())
    said("restore", str(file), "--force")
    assert not StoredValue.objects.exists()


def test_values_move_from_a_store_outside_to_the_database(
    fill: Fill, wipe: Wipe, file: Path, settings: Settings
) -> None:
    inside = settings.VALUE_STORE
    settings.VALUE_STORE = backend(MemoryStore())
    everything = fill()
    said("backup", str(file))
    wipe()
    settings.VALUE_STORE = inside
    assert "and 5 values are back" in said("restore", str(file), "--keep-one-time")
    everything.assert_kept(one_time=True)


def test_no_file_is_written_over_unasked(fill: Fill, file: Path) -> None:
    file.write_text("precious")
    with pytest.raises(CommandError, match="is there already"):
        said("backup", str(file))
    assert file.read_text() == "precious"
    said("backup", str(file), "--force")
    assert tarfile.is_tarfile(file)


def test_a_restore_destroys_nothing_unasked(fill: Fill, file: Path) -> None:
    everything = fill()
    said("backup", str(file))
    with Reader(file) as archive, pytest.raises(CommandError, match="give --force") as refused:
        said("restore", str(file))
    assert f"what was there at {archive.manifest.made_at}, when" in str(refused.value)
    everything.assert_kept(one_time=False)
    said("restore", str(file), "--force", "--keep-one-time")
    everything.assert_kept(one_time=True)


def test_a_forced_restore_replaces_a_damaged_value(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    everything = fill()
    said("backup", str(file))
    remote_store.values = dict.fromkeys(remote_store.values, b"damaged")
    said("restore", str(file), "--force", "--keep-one-time")
    everything.assert_kept(one_time=True)


def test_a_forced_restore_deletes_no_value_of_a_store_that_fails(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    everything = fill()
    said("backup", str(file))
    remote_store.failing = {"put"}
    with pytest.raises(CommandError, match="Nothing was restored"):
        said("restore", str(file), "--force", "--keep-one-time")
    remote_store.failing.clear()
    everything.assert_kept(one_time=True)


def test_a_value_that_can_not_be_replaced_stays(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    """A policy of the cluster refuses what is new, but not what was there before."""
    fill()
    said("backup", str(file))
    remote_store.values = dict.fromkeys(remote_store.values, b"another value")
    before, puts = dict(remote_store.values), iter(range(99))

    def refuse_the_third() -> None:
        """After the one that conflicts, and the trial."""
        if next(puts) == 2:
            raise StoreUnavailable("refused")

    remote_store.before = {"put": refuse_the_third}
    assert "refused" in exit_of("restore", str(file), "--force")[1]
    assert remote_store.values == before


def test_nothing_is_replaced_where_nothing_can_be_stored(
    fill: Fill, file: Path, remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    said("backup", str(file))
    remote_store.values = dict.fromkeys(remote_store.values, b"another value")
    before = dict(remote_store.values)

    def refuse() -> None:
        raise StoreUnavailable("refused")

    monkeypatch.setattr(remote_store, "check_writable", refuse)
    assert "refused" in exit_of("restore", str(file), "--force")[1]
    assert remote_store.values == before
    assert "delete" not in remote_store.calls


def test_closed_shares_leave_nothing_in_the_store(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore
) -> None:
    fill()
    said("backup", str(file))
    wipe()
    remote_store.values.clear()
    assert "2 one-time shares were closed" in said("restore", str(file))
    assert len(remote_store.values) == 3


def test_a_back_up_without_an_identity_takes_none(fill: Fill, file: Path) -> None:
    """It kept nothing outside its database; what is labelled here must still be found."""
    fill()
    Installation.objects.all().delete()
    said("backup", str(file))
    identity = Installation.identity()
    with pytest.raises(CommandError, match="give --force"):
        said("restore", str(file))
    _restore_identity(Reader(file))
    assert Installation.identity() == identity


def test_the_archive_holds_no_key_and_no_value(fill: Fill, file: Path) -> None:
    everything = fill()
    said("backup", str(file))
    data = file.read_bytes()
    for text in ("for one", "value a", everything.once.share_id, everything.token, "A" * 43 + "="):
        assert text.encode() not in data


def with_fields(name: str, data: bytes, **fields: object) -> bytes:
    """Return a manifest with other fields; all other files as they are."""
    return json.dumps(json.loads(data) | fields).encode() if name == "manifest.json" else data


NONE_OF_OURS = "is no back-up, or not a whole one"
DAMAGE: dict[str, tuple[Change, str]] = {
    "a changed row": (
        lambda n, d: d.replace(b"alice", b"mallo") if "auth_user" in n else d,
        "is not what was written",
    ),
    "a missing table": (lambda n, d: None if n.endswith("secrets_app_share") else d, "too few"),
    "no manifest": (lambda n, d: None if n == "manifest.json" else d, NONE_OF_OURS),
    "a broken manifest": (lambda n, d: d[:-9] if n == "manifest.json" else d, NONE_OF_OURS),
    "another version": (lambda n, d: with_fields(n, d, format=9), "its format is 9, this"),
    "a manifest that is a list": (lambda n, d: b"[]" if n == "manifest.json" else d, NONE_OF_OURS),
    "other migrations": (
        lambda n, d: with_fields(n, d, migrations={"secrets_app": "9999_later"}),
        "migrations of secrets_app differ",
    ),
}


@pytest.mark.parametrize(("damage", "why"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_back_up_changes_nothing(
    fill: Fill, file: Path, damage: Change, why: str
) -> None:
    """Even where its signature fits."""
    everything = fill()
    said("backup", str(file))
    rewritten(file, damage)
    signed(file)
    with pytest.raises(CommandError, match=f"Nothing was restored: .*{why}"):
        said("restore", str(file), "--force")
    everything.assert_kept(one_time=True)


@pytest.mark.parametrize("version", [1, 2])
def test_a_back_up_of_an_earlier_format(fill: Fill, file: Path, version: int) -> None:
    """It had no signature."""
    fill()
    said("backup", str(file))

    def earlier(name: str, data: bytes) -> bytes | None:
        old = data.replace(b'"format": 3', f'"format": {version}'.encode())
        return None if name == SIGNATURE else old

    rewritten(file, earlier)
    why = f"its format is {version}, this version reads 3"
    for options in ((), ("--without-signature",)):
        assert why in exit_of("restore", str(file), "--force", *options)[1]


def test_rows_go_by_table(fill: Fill, file: Path) -> None:
    fill()
    said("backup", str(file))
    with tarfile.open(file) as archive:
        files = [name for name in archive.getnames() if name.startswith("rows/")]
    assert files == [f"rows/{model._meta.db_table}" for model in tables()]


def test_what_is_no_back_up(file: Path) -> None:
    file.write_text("hello")
    for path in (file, file.with_name("missing"), file.parent):
        with pytest.raises(CommandError, match="Nothing was restored"):
            said("restore", str(path))
    assert Share.objects.count() == 0
