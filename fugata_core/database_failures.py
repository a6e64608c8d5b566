"""How the database fails: which failure it is, what is logged of it, and what clients are told.

What Django raises repeats its driver's message, which may hold what was to be stored.
"""

import logging
import sqlite3
import threading
import traceback

from django.db import InterfaceError, OperationalError

from fugata_core.errors import DatabaseUnavailable, RowLocked

logger = logging.getLogger(__name__)

#: What Django raises where the database can't be reached, or breaks off.
DATABASE_ERRORS = (OperationalError, InterfaceError)
#: lock_not_available and deadlock_detected (PostgreSQL's documentation, appendix A).
LOCK_FAILURES = ("55P03", "40P01")
#: read_only_sql_transaction, and disk_full (the same).
READ_ONLY, DISK_FULL = "25006", "53100"
#: Set when the database said that its disk is full, until something could be written again.
disk_full = threading.Event()


class ReadOnlyDatabase(OperationalError):
    """The database can only be read: it is a standby, or was made read-only.

    What PostgreSQL's driver raises is not even an OperationalError.
    """


def is_lock_failure(error: Exception) -> bool:
    """Return whether PostgreSQL gave up waiting for another session's lock."""
    return getattr(error.__cause__, "sqlstate", None) in LOCK_FAILURES


def is_read_only_failure(error: Exception) -> bool:
    """Return whether a statement failed because the database can only be read."""
    return _has_code(error, READ_ONLY, sqlite3.SQLITE_READONLY)


def _has_code(error: Exception, sqlstate: str, sqlite_code: int) -> bool:
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite_code
    return getattr(cause, "sqlstate", None) == sqlstate


def database_failure(error: Exception) -> DatabaseUnavailable | RowLocked:
    """Return the error for a database that failed; log it, and free what its frames hold."""
    locked = is_lock_failure(error)
    if _has_code(error, DISK_FULL, sqlite3.SQLITE_FULL):
        disk_full.set()
    if locked:
        logger.warning("a row stayed locked by another session")
    else:
        logger.error("the database failed: %s", _kind_of(error))
    clear_frames(error)
    return RowLocked() if locked else DatabaseUnavailable()


def _kind_of(error: Exception) -> str:
    """Return what may be logged of the failure: the names of its kinds, and PostgreSQL's code."""
    cause = error.__cause__
    code = getattr(cause, "sqlstate", None)
    names = {type(error).__name__, type(cause).__name__} if cause else {type(error).__name__}
    return ", ".join([*sorted(names), *([code] if code else [])])


def clear_frames(error: BaseException | None) -> None:
    """Free what an exception's frames hold.

    A failed connection is in a reference cycle with its exception until the garbage collector runs;
    until then its socket would occupy a session of the database once that answers again.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
