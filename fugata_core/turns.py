"""Processes that migrate one database take turns: at most one of them is at it."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import CommandError
from django.db import connection

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

_TryLock = Callable[[], bool]


@contextmanager
def own_turn() -> Iterator[None]:
    """Run the block while no other process that asks for its turn at this database is at it.

    On PostgreSQL it takes a second connection. Raises CommandError if the turn does not come within
    LONGEST_WAIT, DatabaseError.
    """
    lock = _session_lock if connection.vendor == "postgresql" else _folder_lock
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
            logger.warning("another process prepares this database, and is waited for")
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
        with session.cursor() as cursor:
            cursor.execute(_STAY)
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            (locked,) = cursor.fetchone()
        if not locked:
            session.rollback()
        return bool(locked)

    try:
        session.set_autocommit(False)
        yield try_lock
    finally:
        session.close()


@contextmanager
def _folder_lock() -> Iterator[_TryLock]:
    """Give a lock of the folder of SQLite's file, which goes when the process does."""
    try:
        folder = os.open(Path(connection.settings_dict["NAME"]).resolve().parent, os.O_RDONLY)
    except OSError:  # migrating says what is wrong with it
        yield lambda: True
        return
    try:
        yield lambda: _try_flock(folder)
    finally:
        os.close(folder)


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
