"""A back-up is signed: what somebody else made or changed is not restored."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django.fixtures import Settings

from audit_app import chain
from audit_app.models import AuditEvent, AuditStub
from operations_app.backups.archive import MANIFEST, SIGNATURE
from operations_app.backups.reader import BadArchive, Reader
from operations_app.backups.restore import restore_backup
from tests.operations_app.backups.archives import (
    entry,
    files_of,
    rewritten,
    signed,
    with_digests,
    with_superuser,
    write,
)
from tests.operations_app.backups.conftest import Everything
from tests.operations_app.backups.test_backup import Fill, Wipe, counts, exit_of, said
from tests.support.in_process.doubles import MemoryStore

pytestmark = pytest.mark.django_db(transaction=True)

OTHER_KEY = "another installation's key, which nobody here has"
CHANGED = "Nothing was restored: the back-up was changed after it was written"


@pytest.fixture
def backed_up(fill: Fill, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everything]:
    """Have a back-up, and see that nothing here is changed by what is refused."""
    everything = fill()
    said("backup", str(file))
    before = counts()
    monkeypatch.setattr("operations_app.management.commands.restore.call_command", not_called)
    yield everything
    assert counts() == before


def not_called(*_: object, **__: object) -> None:
    """Be called for a migration."""
    raise AssertionError("it was migrated")


def why(file: Path, *options: str) -> str:
    status, text = exit_of("restore", str(file), "--force", *options)
    assert status == 1
    return text


@pytest.mark.usefixtures("backed_up")
def test_a_superuser_that_was_added_is_refused(file: Path) -> None:
    """Though all checksums fit, which anybody can make."""
    with_superuser(file, "mallory")
    assert why(file).startswith(CHANGED)


@pytest.mark.usefixtures("backed_up")
def test_a_row_that_was_changed_is_refused_before_anything_is_migrated(file: Path) -> None:
    rewritten(file, lambda n, d: d.replace(b"alice", b"mallo"))
    for options in ((), ("--without-signature",)):
        assert why(file, *options).endswith(" is not what was written")


@pytest.mark.usefixtures("backed_up")
def test_another_key_is_told_from_a_change(file: Path, settings: Settings) -> None:
    settings.AUDIT_KEY = OTHER_KEY
    text = why(file)
    assert text.startswith("Nothing was restored: the back-up was signed with another AUDIT_KEY")
    assert "put its file audit_key into FUGATA_HOME: it is kept with its keyring" in text


@pytest.mark.usefixtures("backed_up")
def test_one_without_a_signature_is_refused(file: Path) -> None:
    rewritten(file, lambda n, d: None if n == SIGNATURE else d)
    assert why(file).startswith("Nothing was restored: the back-up has no signature")


@pytest.mark.usefixtures("backed_up")
def test_a_file_of_another_kind_is_refused(file: Path) -> None:
    """Even if the manifest names it."""
    files = files_of(file)
    for name in ("rows/more", "values/others/one", "../out", "keyring"):
        write(file, [entry(*each) for each in ({name: b""} | files).items()])
        with_digests(file)
        assert "a file of another kind" in why(file, "--without-signature")


def test_rows_that_do_not_fit_are_said_in_a_sentence(fill: Fill, file: Path) -> None:
    """Even where the signature fits, as it does on another version's file."""
    fill()
    said("backup", str(file))
    whole, before = file.read_bytes(), counts()
    names = {"IntegrityError": "alice", "DataError": "x" * 151}
    if connection.vendor == "sqlite":  # which takes a text of any length
        del names["DataError"]
    for error, name in names.items():
        file.write_bytes(whole)
        with_superuser(file, name)
        signed(file)
        assert why(file).endswith(f"has what are no rows of this version ({error}).")
        assert counts() == before


def test_what_changes_after_it_was_compared_changes_no_row(
    fill: Fill, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may write to the file while it is read."""
    fill()
    said("backup", str(file))
    before = list(User.objects.values_list("username", flat=True))
    with Reader(file) as archive:
        archive.verify()
        data = file.read_bytes()
        file.write_bytes(data.replace(b'"alice"', b'"mallo"').replace(b'"a label"', b'"b label"'))
        monkeypatch.setattr(archive, "verify", lambda: None)
        with pytest.raises(BadArchive, match="is not what was written"):
            restore_backup(archive, force=True)
    assert list(User.objects.values_list("username", flat=True)) == before


def test_a_value_that_changes_meanwhile_is_not_put(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    sealed = next(iter(remote_store.values.values()))
    said("backup", str(file))
    wipe()
    remote_store.values.clear()
    with Reader(file) as archive:
        file.write_bytes(file.read_bytes().replace(sealed, bytes(len(sealed))))
        monkeypatch.setattr(archive, "verify", lambda: None)
        with pytest.raises(BadArchive, match="is not what was written"):
            restore_backup(archive)
    assert not remote_store.values


def test_who_has_lost_the_key_restores_without_the_signature(
    fill: Fill, wipe: Wipe, file: Path, settings: Settings
) -> None:
    """It says what that means, and whom it brought."""
    everything = fill()
    User.objects.create_superuser("root")
    User.objects.create_user("auditor", is_staff=True)
    said("backup", str(file))
    wipe()
    settings.AUDIT_KEY = OTHER_KEY
    restored = said("restore", str(file), "--keep-one-time", "--without-signature")
    assert restored.startswith("Warning: the back-up was signed with another AUDIT_KEY")
    assert (
        "It brought these superusers: 'root'. Accounts with access to the console: 2." in restored
    )
    everything.assert_kept(one_time=True)


def test_names_of_forged_accounts_write_nothing_else_to_the_terminal(
    fill: Fill, file: Path
) -> None:
    fill()
    said("backup", str(file))
    with_superuser(file, "\x1b[2Jmallory")
    restored = said("restore", str(file), "--force", "--without-signature")
    assert "superusers: '\\x1b[2Jmallory'." in restored
    assert "\x1b" not in restored


@pytest.mark.parametrize(
    "forged", [{"made_at": "\x1b[2Jsoon\n"}, {"migrations": {"\x1b[2Jsoon\n": "0001"}}]
)
def test_nor_does_what_a_forged_manifest_says(
    fill: Fill, file: Path, forged: dict[str, object]
) -> None:
    fill()
    said("backup", str(file))

    def forge(name: str, data: bytes) -> bytes:
        return json.dumps(json.loads(data) | forged).encode() if name == MANIFEST else data

    rewritten(file, forge)
    status, refused = exit_of("restore", str(file), "--without-signature")
    assert (status, "\\u001b[2Jsoon\\n" in refused) == (1, True)
    assert "\x1b" not in refused


def test_there_may_be_any_number_of_them(fill: Fill, file: Path, settings: Settings) -> None:
    fill()
    User.objects.bulk_create(User(username=f"u{n}", is_superuser=True) for n in range(60))
    said("backup", str(file))
    settings.AUDIT_KEY = OTHER_KEY
    restored = said("restore", str(file), "--force", "--without-signature")
    assert "'u49', 10 more. Accounts" in restored


def test_where_the_signature_fits_nothing_more_is_said(fill: Fill, file: Path) -> None:
    fill()
    said("backup", str(file))
    restored = said("restore", str(file), "--force", "--without-signature")
    assert "Warning" not in restored
    assert "superusers" not in restored


def test_no_back_up_is_signed_with_another_key(fill: Fill, file: Path, settings: Settings) -> None:
    """As a new FUGATA_HOME has one, which nobody keeps."""
    fill()
    settings.AUDIT_KEY = OTHER_KEY
    status, text = exit_of("backup", str(file))
    assert (status, text.startswith("No back-up was written: AUDIT_KEY would sign it")) == (1, True)
    assert list(file.parent.iterdir()) == []
    said("backup", str(file), "--with-this-key")
    with Reader(file) as archive:
        archive.verify()


def test_a_trail_of_which_only_a_stub_is_left_knows_its_key(
    fill: Fill, file: Path, settings: Settings
) -> None:
    fill()
    head = chain.head()
    AuditStub.objects.create(
        through=head.position,
        mac=head.mac,
        newest_at="2026-01-31T00:00:00Z",
        proof=b"somebody else's",
    )
    AuditEvent.objects.all().delete()
    assert "AUDIT_KEY would sign it" in exit_of("backup", str(file))[1]


def test_a_trail_without_anything_sealed_takes_any_key(file: Path, settings: Settings) -> None:
    settings.AUDIT_KEY = OTHER_KEY
    said("backup", str(file))
    assert file.exists()
