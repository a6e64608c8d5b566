"""A back-up whose values need keys that are not here is refused before anything is written."""

import json
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from secrets_app.models import Share
from tests.operations_app.backups.archives import rewritten, with_digests
from tests.operations_app.backups.conftest import Everything
from tests.operations_app.backups.test_backup import Fill, Wipe, counts, exit_of, said
from tests.operations_app.backups.test_signature import OTHER_KEY, not_called
from tests.support.in_process.doubles import FaultyKeys, backend
from tests.support.in_process.keys import use_keyring, use_keys
from vault_app.errors import KeyServiceAway, KeyVersionGone, VaultError
from vault_app.keys.wrapped_key import header
from vault_app.models import KeyEncryptionKey

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = "B" * 43 + "="
KEYS_TABLE = "rows/vault_app_keyencryptionkey"
IN_VAULT = "vault:transit/fugata"


@pytest.fixture
def backed_up(fill: Fill, file: Path) -> Everything:
    """Have a back-up of values under the key `test`."""
    everything = fill()
    said("backup", str(file))
    return everything


def refused(monkeypatch: pytest.MonkeyPatch, file: Path, *options: str) -> str:
    """Return why, of a restore that migrates nothing and changes no row."""
    before = counts()
    with monkeypatch.context() as patched:
        patched.setattr("operations_app.management.commands.restore.call_command", not_called)
        status, why = exit_of("restore", str(file), "--force", *options)
    assert (status, counts()) == (1, before)
    return why


def know(key_id: str) -> None:
    """Have the database know one more key, that nobody has."""
    KeyEncryptionKey.objects.create(id=key_id, check_value=header(key_id) + bytes(60))


class Failing(FaultyKeys):
    """Keys of a service that opens nothing."""

    def __init__(self, problem: VaultError) -> None:
        super().__init__()
        self._problem = problem

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        raise self._problem


def test_a_missing_keyring_is_said_before_anything_is_written(
    backed_up: Everything,
    wipe: Wipe,
    file: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And once it is back, the same command restores."""
    ring, path = settings.FUGATA_KEYS, file.with_name("keyring")
    wipe()
    use_keyring(settings, path)
    assert refused(monkeypatch, file) == (
        "Nothing was restored: values of the back-up need a key that is missing here: 'test' (the"
        " keyring lacks the key that wrapped this data key). Put the keyring file back at"
        f" {path}, or set FUGATA_KEYS. If that is not possible, see --without-keys in"
        " docs/backup.md"
    )
    use_keys(settings, ring)
    assert "Before you start it" not in said("restore", str(file), "--keep-one-time")
    backed_up.assert_kept(one_time=True)


@pytest.mark.usefixtures("backed_up")
def test_another_key_of_that_id_is_not_the_same(
    file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys(settings, f"test:{OTHER}")
    why = refused(monkeypatch, file)
    assert "missing here: 'test' (the key of that id here is another one)" in why
    assert "FUGATA_KEYS must list it" in why
    assert OTHER not in why


def test_keys_of_providers_that_are_not_set_up_are_named_too(
    fill: Fill, file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    know(IN_VAULT)
    know("vault:transit/older")
    Share.objects.filter(one_time=True).update(key=IN_VAULT)
    said("backup", str(file))
    use_keys(settings, f"other:{OTHER}")
    why = refused(monkeypatch, file)
    assert "need keys that are missing here: 'test' (" in why
    assert f"'{IN_VAULT}' (the key's provider is not set up here)." in why
    assert "FUGATA_KEYS must list it. VAULT_TRANSIT_KEY must list it" in why
    assert "older" not in why  # no row needs it


@pytest.mark.usefixtures("backed_up")
def test_a_key_service_that_does_not_answer(
    file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KMS_PROVIDER = backend(Failing(KeyServiceAway("injected")))
    why = refused(monkeypatch, file)
    assert "'test' (injected). Restore again once the key service answers." in why
    assert "FUGATA_KEYS" not in why


def test_a_key_that_no_row_needs_is_not_asked_for(fill: Fill, wipe: Wipe, file: Path) -> None:
    everything = fill()
    know("retired")
    said("backup", str(file))
    wipe()
    restored = said("restore", str(file), "--keep-one-time")
    assert "Before you start it: The database knows key 'retired'" in restored
    everything.assert_kept(one_time=True)


def test_a_version_that_is_no_longer_opened_is_said_at_the_end(
    backed_up: Everything, wipe: Wipe, file: Path, settings: Settings
) -> None:
    """The key is here: its minimum can be lowered after the restore as well."""
    before = settings.KMS_PROVIDER
    wipe()
    settings.KMS_PROVIDER = backend(Failing(KeyVersionGone("injected")))
    restored = said("restore", str(file), "--keep-one-time")
    assert "Before you start it: The check value of key 'test' is sealed under version" in restored
    settings.KMS_PROVIDER = before
    backed_up.assert_kept(one_time=True)


def test_who_has_lost_the_keys_restores_without_them(
    backed_up: Everything, wipe: Wipe, file: Path, settings: Settings
) -> None:
    ring = settings.FUGATA_KEYS
    wipe()
    use_keys(settings, f"other:{OTHER}")
    restored = said("restore", str(file), "--keep-one-time", "--without-keys")
    assert "Before you start it: The database holds values sealed under key 'test'" in restored
    use_keys(settings, ring)
    backed_up.assert_kept(one_time=True)


@pytest.mark.usefixtures("backed_up")
def test_the_signature_comes_first(
    file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys(settings, f"other:{OTHER}")
    settings.AUDIT_KEY = OTHER_KEY
    assert "was signed with another AUDIT_KEY" in refused(monkeypatch, file)
    assert "need a key" in refused(monkeypatch, file, "--without-signature")


@pytest.mark.usefixtures("backed_up")
def test_forged_rows_of_keys_are_no_rows(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number in place of bytes would be as many zeros."""
    for forged in (b"[]", b'{"id": "test"}', b'{"id": "test", "check_value": 1}', b"["):
        rewritten(file, lambda name, data, line=forged: line if name == KEYS_TABLE else data)  # type: ignore[misc]
        with_digests(file)
        why = refused(monkeypatch, file, "--without-signature")
        assert why.endswith(("are no rows of this version", "not a whole one."))


@pytest.mark.usefixtures("backed_up")
def test_forged_keys_are_not_all_named_and_write_nothing_else_to_the_terminal(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"\x1b[2J{number}" for number in range(30)]

    def forge(name: str, data: bytes) -> bytes:
        if name == KEYS_TABLE:
            lines = [{"id": key, "check_value": {"bytes": ""}} for key in keys]
        elif name == "rows/secrets_app_share":
            lines = [json.loads(data.splitlines()[0]) | {"key_id": key} for key in keys]
        else:
            return data
        return "\n".join(map(json.dumps, lines)).encode()

    rewritten(file, forge)
    with_digests(file)
    why = refused(monkeypatch, file, "--without-signature")
    assert "'\\x1b[2J19' (the key of that id here is another one), 10 more. " in why
    assert "\x1b" not in why
    assert why.count("FUGATA_KEYS must list it") == 1
