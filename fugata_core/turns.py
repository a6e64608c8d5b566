"""Processes that migrate one database (prepare, restore) take turns: one of them is at it."""

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import CommandError
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from fugata_core.files import open_lock, try_lock

logger = logging.getLogger(__name__)

#: Seconds for which a process waits for its turn.
LONGEST_WAIT = 600.0
#: Seconds between two attempts.
PAUSE = 0.2
# Key for pg_advisory_xact_lock; nothing else that uses the database may lock it.
_LOCK = 0x_F06A7A_70E5
# Whatever the operator chose: the session that has the lock is idle, in one long transaction.
_STAY = """
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""

#: What PgBouncer says to whom it had no session for in time, and breaks off.
_NO_SESSION = "query_wait_timeout"

_TryLock = Callable[[], bool]


@contextmanager
def own_turn() -> Iterator[None]:
    """Run the block while no other process that asks for its turn at this database is at it.

    On PostgreSQL it takes a second connection. Raises CommandError if the turn does not come within
    LONGEST_WAIT, DatabaseError.
    """
    lock = _session_lock if connection.vendor == "postgresql" else _file_lock
    with lock() as try_lock:
        _await(try_lock)
        yield


def _await(try_lock: _TryLock) -> None:
    deadline, told = time.monotonic() + LONGEST_WAIT, False
    while not try_lock():
        if time.monotonic() >= deadline:
            raise CommandError(
                "Another process has been preparing or restoring this database for more than"
                f" {LONGEST_WAIT:g} seconds. Run it again when that process has ended."
            )
        if not told:
            logger.warning("another process prepares or restores this database, and is waited for")
            told = True
        time.sleep(PAUSE)


@contextmanager
def _session_lock() -> Iterator[_TryLock]:
    """Give a lock of PostgreSQL, which goes when the process does.

    Its transaction has a connection of its own, for migrations make many, and PgBouncer may give
    each transaction another session. Nobody waits inside one: those who do would occupy the
    sessions that the one whose turn it is needs.
    """
    session = connection.copy()

    def try_lock() -> bool:
        try:
            return _try_in(session)
        except OperationalError as error:
            session.close()  # the next attempt makes a new one
            if _NO_SESSION not in str(error):
                raise
            return False

    try:
        yield try_lock
    finally:
        session.close()


def _try_in(session: BaseDatabaseWrapper) -> bool:
    session.set_autocommit(False)
    with session.cursor() as cursor:
        cursor.execute(_STAY)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        (locked,) = cursor.fetchone()
    if not locked:
        session.rollback()
    return bool(locked)


@contextmanager
def _file_lock() -> Iterator[_TryLock]:
    """Give a lock of a file beside SQLite's, which goes when the process does; the file stays."""
    try:
        file = open_lock(_database_file(), "turn")
    except OSError as error:  # migrating says what is wrong with the folder
        if error.errno == errno.ELOOP:
            raise CommandError(f"{_database_file()}.turn is a link. Delete it.") from None
        yield lambda: True
        return
    try:
        yield lambda: _try_flock(file)
    finally:
        os.close(file)


def _database_file() -> Path:
    return Path(connection.settings_dict["NAME"]).resolve()


def _try_flock(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError as error:  # a file system without locks, as some over the network
        logger.warning("nobody's turn is waited for: %s", error.strerror)
    return True
