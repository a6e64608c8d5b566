"""The life cycle of a key-encryption key: made primary, replaced, retired."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.db import DatabaseError, connection, models, transaction
from django.db.models.functions import Now

from fugata_core.database_failures import ReadOnlyDatabase
from vault_app import keycheck
from vault_app.backends import key_provider
from vault_app.keys import keyring, local
from vault_app.keys.guidance import guidance
from vault_app.keys.keyring import KeyringFile
from vault_app.keys.local import LocalKeyring
from vault_app.keys.wrapped_key import provider_of
from vault_app.models import KeyEncryptionKey, sealed_models
from vault_app.usage import rows_under

#: Seconds for which processes may still wrap under the previous key after a new one is primary:
#: they notice it within rewrap.SETTLE, and this leaves a margin.
GRACE = 10
#: How long a retirement waits for rows that are being written, before it gives up. Other writers
#: wait behind it: less than row_locks.LOCK_TIMEOUT.
LOCK_WAIT = "1500ms"


class KeysNotManaged(Exception):
    """Fugata can't make or remove these keys; the message says how to do it where they are kept."""


class KeyInUse(Exception):
    """The key can't be retired now; the message says why and what to do."""


class UnknownKey(Exception):
    """This database has no key of that id; the message says what to do."""


def make_primary() -> str:
    """Make a new key the primary of the keyring file and return its id.

    The key is in the file before the database knows it, and in the database before it wraps:
    wherever this stops, the file has every key that the database knows. What the database refuses
    it refuses before the file is written. Raises KeysNotManaged, OSError, WrongKeyring.
    """
    file = _writable_keyring()
    with file.locked():
        keys, (key_id, key) = file.keys(), keyring.new_key()
        with transaction.atomic(durable=True):
            keycheck.record_key(key_id, partial(local.wrap_under, key_id, key))
            file.write({**keys, key_id: key})
        file.write({key_id: key, **keys})
    return key_id


def _writable_keyring() -> KeyringFile:
    """Return the keyring file that holds the primary. Raises KeysNotManaged."""
    name = key_provider().name
    file = _keyring_file() if name == "local" else None
    if file:
        return file
    keys = guidance(name)
    raise KeysNotManaged(
        f"The keys come from {keys.setting}, which Fugata can't change. To rotate: {keys.make}; put"
        f" it behind the others in {keys.setting} and restart every process of Fugata, so that each"
        " can open with it; move it in front and restart them again, so that it wraps; run python"
        " manage.py rewrap_keys; run python manage.py retire_key with the old key's id, take the"
        f" old key out of {keys.setting} and restart. See docs/keys.md."
    )


def _keyring_file() -> KeyringFile | None:
    """Return the file of the local keyring; None where its keys come from a setting."""
    provider = key_provider().provider("local")
    return provider.file if isinstance(provider, LocalKeyring) else None


def retire(key_id: str) -> Path | None:
    """Forget a key that nothing needs, and return where its bytes are now.

    None where they were not in the keyring file. Another database may need what this one does not,
    so no copy is destroyed: the key is set aside first, then the database forgets it, then the file
    does. If this stops in between, another call finishes it.
    Raises KeyInUse, UnknownKey, KeyUnavailable, OSError, WrongKeyring.
    """
    file = _keyring_file() if provider_of(key_id) == "local" else None
    if file is None:
        return _retire(key_id, None)
    with file.locked():
        return _retire(key_id, file)


def _retire(key_id: str, file: KeyringFile | None) -> Path | None:
    if key_id == key_provider().primary:
        raise KeyInUse("It is the primary key, which wraps. Rotate first: manage.py rotate_key")
    keys = file.keys() if file else {}
    key = keys.pop(key_id, None)
    if not KeyEncryptionKey.objects.filter(id=key_id).exists():
        _refuse_unless_begun(key_id, key, file)
    with _record_deleted(key_id):
        if file and key:
            file.set_aside(key_id, key)
    if file is None or key is None:
        return None
    file.write(keys)
    return file.retired


def _refuse_unless_begun(key_id: str, key: bytes | None, file: KeyringFile | None) -> None:
    """Raise UnknownKey, unless the key was set aside by a retirement that stopped halfway."""
    if file is None or key is None:
        raise UnknownKey("There is no key of that id. manage.py list_keys shows those there are.")
    if not file.has_set_aside(key_id, key):
        raise UnknownKey(
            "It is in the keyring file, but this database has no record of it: another database"
            " may need it. Is DATABASE_URL as the service has it? If no database needs the key,"
            f" take its line out of {file.path} by hand."
        )


@contextmanager
def _record_deleted(key_id: str) -> Iterator[None]:
    """Delete the database's record of a key that no row needs; the block comes before the commit.

    Raises KeyInUse.
    """
    try:
        with transaction.atomic():
            _wait_for_writers()  # which also says whether the database can be written to
            _refuse_within_grace()
            _refuse_while_needed(key_id)
            KeyEncryptionKey.objects.filter(id=key_id).delete()
            yield
    except ReadOnlyDatabase:
        raise
    except (models.ProtectedError, DatabaseError) as error:
        raise KeyInUse(
            f"Rows are being written just now ({type(error).__name__}). Try again in a moment."
        ) from None


def _wait_for_writers() -> None:
    """Wait until rows that are being written are visible.

    PostgreSQL checks references when a transaction commits; a row not yet committed is seen
    only by waiting for it. SQLite has one writer: this transaction.
    """
    if connection.vendor != "postgresql":
        return
    tables = ", ".join(connection.ops.quote_name(m._meta.db_table) for m in sealed_models())
    with connection.cursor() as cursor:
        # lock_timeout would be for each table.
        cursor.execute(f"SET LOCAL statement_timeout = '{LOCK_WAIT}'")
        cursor.execute(f"LOCK TABLE {tables} IN SHARE MODE")
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT")


def _refuse_while_needed(key_id: str) -> None:
    needing = rows_under([key_id])
    if needing:
        raise KeyInUse(
            f"{needing} data keys are under it. Re-wrap them first: manage.py rewrap_keys"
        )


def _refuse_within_grace() -> None:
    """Raise KeyInUse while a process that has not noticed the primary may still write a row."""
    fresh = Now() - timedelta(seconds=GRACE)
    primary = KeyEncryptionKey.objects.filter(id=key_provider().primary)
    if primary.filter(created_at__gt=fresh).exists():
        raise KeyInUse(
            f"The primary key was made within the last {GRACE} seconds, and processes may still"
            f" wrap under another. Try again in {GRACE} seconds."
        )
