"""The life of a key: made and put first, whatever fails between; retired, once nothing needs it."""

import threading
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from secrets_app.persistence import share_table
from tests.secrets_app.support import new_share, share
from tests.support.in_process.keys import use_keys
from tests.support.servers.parts import wait_until
from tests.vault_app.support import A, B, as_a_new_process, use_keyring_file
from vault_app import keycheck, rewrap, rotation
from vault_app.backends import key_provider
from vault_app.keys import keyring as keyring_module
from vault_app.keys import local
from vault_app.keys.keyring import KeyringFile, Keys
from vault_app.models import KeyEncryptionKey
from vault_app.rotation import KeyInUse, KeysNotManaged, UnknownKey

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def keyring(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None
) -> KeyringFile:
    """A keyring file with the key `old`."""
    path = tmp_path / "keyring"
    use_keyring_file(settings, path, monkeypatch)
    monkeypatch.setattr(rewrap, "PASS_PAUSE", 0.0)
    return KeyringFile(path)


def recorded() -> set[str]:
    return set(KeyEncryptionKey.objects.values_list("id", flat=True))


def rotated() -> str:
    """Rotate, and let some time pass; returns the new key's id."""
    new = rotation.make_primary()
    list(rewrap.rewrap())
    KeyEncryptionKey.objects.update(created_at=Now() - timedelta(seconds=rotation.GRACE + 1))
    return new


# --- Made and put first --------------------------------------------------------------------------


def test_a_new_key_is_first_and_recorded(keyring: KeyringFile) -> None:
    new = rotation.make_primary()
    assert list(keyring.keys()) == [new, "old"]
    assert key_provider().primary == new
    assert recorded() == {new, "old"}
    as_a_new_process()


@pytest.mark.parametrize("writes", [0, 1])
def test_a_write_that_fails(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Wherever it ends, what the database knows is in the file, and another rotation works."""
    done: list[Keys] = []
    write = KeyringFile.write

    def failing(self: KeyringFile, keys: Keys) -> None:
        if len(done) == writes:
            raise OSError("injected")
        done.append(keys)
        write(self, keys)

    created = share("s3cret")
    with monkeypatch.context() as patch:
        patch.setattr(KeyringFile, "write", failing)
        with pytest.raises(OSError, match="injected"):
            rotation.make_primary()
    assert key_provider().primary == "old"
    as_a_new_process()
    assert key_provider().primary == "old"
    new = rotated()
    assert key_provider().primary == new
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"
    for stray in recorded() - {new}:
        rotation.retire(stray)
    as_a_new_process()


@pytest.mark.parametrize("statement", ["SELECT", "INSERT"])
def test_a_database_that_fails_is_asked_before_the_file_is_written(
    keyring: KeyringFile, statement: str
) -> None:
    """However often it is tried again; behind a pool that mixes statements up, for instance."""

    def failing(execute: Callable[..., object], sql: str, *rest: object) -> object:
        if sql.startswith(statement):
            raise OperationalError("injected")
        return execute(sql, *rest)

    for _ in range(3):
        with connection.execute_wrapper(failing), pytest.raises(OperationalError):
            rotation.make_primary()
    assert list(keyring.keys()) == ["old"]
    assert recorded() == {"old"}
    assert rotation.make_primary() in recorded()


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_is_not_confirmed(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database knows the key then: the file has it, and it does not wrap."""
    commit = connection._commit  # type: ignore[attr-defined]

    def failing() -> None:
        commit()
        raise OperationalError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", failing)
        with pytest.raises(OperationalError):
            rotation.make_primary()
    assert next(iter(keyring.keys())) == "old"
    assert len(recorded()) == 2
    as_a_new_process()


def test_the_database_knows_a_key_before_it_wraps(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that follows the file at once must be able to write its row."""
    seen: list[tuple[str, bool]] = []
    write = KeyringFile.write

    def noting(self: KeyringFile, keys: Keys) -> None:
        first = next(iter(keys))
        seen.append((first, first in recorded()))
        write(self, keys)

    monkeypatch.setattr(KeyringFile, "write", noting)
    new = rotation.make_primary()
    assert seen == [("old", True), (new, True)]


@pytest.mark.django_db(transaction=True)
def test_two_rotations_at_once_lose_no_key(keyring: KeyringFile) -> None:
    def rotate(_: int) -> str:
        try:
            return rotation.make_primary()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(rotate, range(4)))
    assert set(keyring.keys()) == recorded() == {*made, "old"}
    as_a_new_process()


def test_keys_of_the_environment_are_not_ours_to_rotate(settings: Settings) -> None:
    use_keys(settings, f"old:{A}")
    with pytest.raises(KeysNotManaged) as raised:
        rotation.make_primary()
    for part in ("FUGATA_KEYS", "generate_key", "in front", "rewrap_keys", "retire_key"):
        assert part in str(raised.value)
    assert A not in str(raised.value)


# --- Retired -------------------------------------------------------------------------------------


def test_a_key_that_nothing_needs(keyring: KeyringFile) -> None:
    created, new = share("s3cret"), rotated()
    assert rotation.retire("old")
    assert list(keyring.keys()) == [new]
    assert recorded() == {new}
    as_a_new_process()
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def assert_refused(
    key_id: str, keyring: KeyringFile, says: str, error: type[Exception] = KeyInUse
) -> None:
    before, known = keyring.keys(), recorded()
    with pytest.raises(error, match=says):
        rotation.retire(key_id)
    assert keyring.keys() == before
    assert recorded() == known
    assert not keyring.retired.exists()


def test_the_primary_stays(keyring: KeyringFile) -> None:
    KeyEncryptionKey.objects.update(created_at=Now() - timedelta(seconds=60))
    assert_refused("old", keyring, "It is the primary key")


def test_a_key_that_rows_need_stays(keyring: KeyringFile) -> None:
    rotated()
    share_table().insert(new_share_under("old"), b"sealed", SERVICE)
    assert_refused("old", keyring, "1 data keys")


def new_share_under(key_id: str) -> Share:
    return new_share(key_id=key_id)


def test_a_key_that_was_primary_a_moment_ago_stays(keyring: KeyringFile) -> None:
    """Another process may not know yet, and be about to write a row."""
    rotation.make_primary()
    list(rewrap.rewrap())
    assert_refused("old", keyring, "Try again in 10 seconds")


def test_a_key_that_nobody_knows(keyring: KeyringFile) -> None:
    with pytest.raises(UnknownKey):
        rotation.retire("nobody")


def test_a_retirement_that_ended_halfway_is_finished(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file forgets last: what a start then finds is a key too many, and that is fine."""
    new = rotated()
    _retire_in_vain(monkeypatch, "write")
    as_a_new_process()
    assert list(keyring.keys()) == [new, "old"]
    assert recorded() == {new}
    assert rotation.retire("old")
    assert list(keyring.keys()) == [new]
    assert keyring.retired.read_text() == f"old:{A}\n"
    as_a_new_process()


def _retire_in_vain(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Try to retire `old` while that step of the file's work fails."""

    def failing(*_: object) -> None:
        raise OSError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(KeyringFile, step, failing)
        with pytest.raises(OSError, match="injected"):
            rotation.retire("old")


def test_a_key_that_can_not_be_set_aside_stays(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = rotated()
    _retire_in_vain(monkeypatch, "set_aside")
    assert list(keyring.keys()) == [new, "old"]
    assert recorded() == {new, "old"}


def test_a_key_is_set_aside_before_anything_forgets_it(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated()
    write, kept = KeyringFile.write, list[str]()

    def noting(self: KeyringFile, keys: Keys) -> None:
        kept.append(self.retired.read_text())
        write(self, keys)

    monkeypatch.setattr(KeyringFile, "write", noting)
    assert rotation.retire("old") == keyring.retired
    assert kept == [f"old:{A}\n"]


def test_a_key_of_another_database_stays(keyring: KeyringFile) -> None:
    """DATABASE_URL was forgotten: that database does not know what the real one needs."""
    KeyEncryptionKey.objects.filter(id="old").delete()
    rotated()
    assert_refused("old", keyring, "this database has no record of it", UnknownKey)


def test_a_key_that_another_database_needs_can_be_put_back(
    keyring: KeyringFile, settings: Settings
) -> None:
    """It knew the key, but had no rows under it; the real one did."""
    rotated()
    rotation.retire("old")
    KeyEncryptionKey.objects.create(id="old", check_value=local_check_value())
    with pytest.raises(keycheck.KeyCheckFailed, match=f"copy its line .* from {keyring.retired}"):
        as_a_new_process()
    with keyring.path.open("a") as file:
        file.write(keyring.retired.read_text())
    as_a_new_process()


def local_check_value() -> bytes:
    """Return the check value of the key `old`."""
    wrap = partial(local.wrap_under, "old", b64decode(A))
    return wrap(keycheck._CHECK_PLAINTEXT, keycheck._CONTEXT)


def test_a_key_of_the_environment(settings: Settings) -> None:
    use_keys(settings, f"new:{B},old:{A}")
    keycheck.verify()
    KeyEncryptionKey.objects.update(created_at=Now() - timedelta(seconds=60))
    assert not rotation.retire("old")
    assert recorded() == {"new"}
    as_a_new_process()


# --- While a row is being written ----------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_being_written_keeps_its_key(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row's transaction is open while the key is retired: it is waited for, and then seen."""
    rotated()
    written, may_commit = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                share_table().insert(new_share_under("old"), b"sealed", SERVICE)
                written.set()
                assert may_commit.wait(60)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        writer = pool.submit(write)
        assert written.wait(60)
        retirement = pool.submit(_closing(lambda: rotation.retire("old")))
        _wait_for_a_lock()
        may_commit.set()
        writer.result()
        with pytest.raises(KeyInUse, match="1 data keys"):
            retirement.result()
    assert "old" in set(keyring.keys())
    assert Share.objects.filter(key="old").count() == 1


def _closing(work: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        try:
            return work()
        finally:
            connection.close()

    return run


def _wait_for_a_lock() -> None:
    """Return when somebody waits for a lock of the database (SQLite shows nothing of it)."""

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    if connection.vendor == "postgresql":
        wait_until(waits, "a retirement that waits")


def test_a_generated_key_is_a_good_one() -> None:
    name, key = keyring_module.new_key()
    assert keyring_module.parse(keyring_module.as_text({name: key})) == {name: key}
