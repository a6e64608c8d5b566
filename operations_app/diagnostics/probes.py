"""The parts without which nothing is served, and a probe for each."""

import os
from collections.abc import Callable
from pathlib import Path

from django.db import connection

from fugata_core.connections import close_if_dead
from fugata_core.database_failures import ReadOnlyDatabase
from fugata_core.failing_requests import failing, full_disk
from vault_app.backends import key_provider, remote_store, value_store
from vault_app.errors import KeyUnavailable, StoreUnavailable
from vault_app.keys.local import LocalKeyring
from vault_app.models import sealed_models
from vault_app.stores.database import DatabaseStore
from vault_app.writes import writes


def probe_database() -> None:
    """Raise the driver's error if it does not answer, and close the connection.

    Raises ReadOnlyDatabase if it can only be read; nothing is written to find that out.
    """
    close_if_dead()
    try:
        if _is_read_only():
            raise ReadOnlyDatabase("read-only")
    except Exception:
        connection.close()
        raise


def _is_read_only() -> bool:
    """Return whether the server refuses to write just now, or the system the file."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW transaction_read_only")  # on in a standby too
            return bool(cursor.fetchone() == ("on",))
        cursor.execute("PRAGMA database_list")
        path = Path(cursor.fetchone()[2])
        return not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def probe_value_store() -> None:
    """Raise StoreUnavailable unless values can be read right now."""
    value_store().check()


def probe_writes() -> None:
    """Raise StoreUnavailable if values can't be stored; store one to see, if that is in doubt."""
    if full_disk.go_on:  # a trial may fit where requests' values do not
        raise StoreUnavailable("the disk of the database is full")
    if full_disk:
        DatabaseStore().check_writable()
        full_disk.forget()
    for model in sealed_models():
        remote = remote_store(model.values_of)
        if remote is not None:
            writes.probe(remote)


def probe_key_provider() -> None:
    """Raise KeyUnavailable unless data keys can be wrapped and unwrapped right now.

    A key service is asked only where ordinary calls have not shown that of late.
    """
    key_provider().check_if_in_doubt()


def probe_keyring_file() -> None:
    """Raise KeyUnavailable if this process has the keys that wrap in its memory alone."""
    chosen = key_provider().chosen
    if isinstance(chosen, LocalKeyring) and chosen.has_lost_file():
        raise KeyUnavailable("only processes that read it before have the keys")


class RequestsFail(Exception):
    """The database answers, and fails what requests ask of it."""


def probe_requests() -> None:
    """Raise RequestsFail if the database fails this process's requests in a row."""
    if failing.go_on:
        raise RequestsFail()


KEYS = "Key provider unavailable"
#: What is said where all else is well: what is stored can be opened.
KEYRING = "Keyring file missing or unreadable"
WRITES = "Value store can't be written to"
REQUESTS = "Requests fail at the database"
#: What a load balancer does not mind: it is the same everywhere, or ends while requests come.
MINOR = (KEYRING, WRITES, REQUESTS)
#: Probes by what /healthz says if one fails, in the order in which they run.
PROBES: dict[str, Callable[[], None]] = {
    "Database connection failed": probe_database,
    "Value store unavailable": probe_value_store,
    KEYS: probe_key_provider,
    KEYRING: probe_keyring_file,
    WRITES: probe_writes,
    REQUESTS: probe_requests,
}
