"""How the database fails: which failure it is, what is logged of it, and what clients are told.

What Django raises repeats its driver's message, which may hold what was to be stored.
"""

import logging
import re
import sqlite3
import traceback

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)

from fugata_core.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    DiskFull,
    FugataError,
    InternalError,
    RowLocked,
)
from fugata_core.tracebacks import chain

logger = logging.getLogger(__name__)

#: All that Django raises of a database.
ANY_ERROR = (DatabaseError, InterfaceError)
#: lock_not_available and deadlock_detected (PostgreSQL's documentation, appendix A).
LOCK_FAILURES = ("55P03", "40P01")
#: read_only_sql_transaction, and disk_full (the same).
READ_ONLY, DISK_FULL = "25006", "53100"
#: duplicate_prepared_statement, and invalid_sql_statement_name (the same).
PREPARED = ("42P05", "26000")
#: Settings that end a session (the same). Two of them come as the driver's InternalError.
SESSION_LIMITS = {
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
}
PREPARED_REMEDY = "Behind PgBouncer, it needs ?prepare_threshold=none (docs/scaling.md)."

# An attempt to connect that fails, or a session that breaks off, may have no code: what its text
# tells, where that is in English.
_REASONS = {
    "too many connections": "too many (connections|clients)|connection slots|no more connections",
    "no such database": 'database ".*" does not exist|no such database',
    "the role is refused": "not permitted to log in|authentication failed|no password supplied|"
    'pg_hba.conf|role ".*" does not exist|permission denied for database',
    "no such host": "resolve host|translate host name",
    "nobody listens there": "Connection refused|No such file or directory",
    "no answer in time": "timeout expired|timed out|query_wait_timeout",
    "it is starting or stopping": "starting up|shutting down|recovery mode|not yet accepting",
    "it can only be read": "session is read-only|hot standby mode",
    "no TLS as it was asked for": "does not support SSL|certificate",
    "it ended the session": "server closed the connection|terminating connection",
}


class ReadOnlyDatabase(OperationalError):
    """The database can only be read: it is a standby, or was made read-only.

    What PostgreSQL's driver raises is not even an OperationalError.
    """


class StaleStatement(OperationalError):
    """A prepared statement gives columns of other types than when it was prepared."""


def is_lock_failure(error: Exception) -> bool:
    """Return whether the database gave up waiting for another session's lock."""
    return _has_code(error, sqlite3.SQLITE_BUSY, *LOCK_FAILURES)


def lasting_failure(error: Exception) -> type[OperationalError] | None:
    """Return what to raise for a failure that lasts as long as its connection; None: it is none."""
    if _has_code(error, sqlite3.SQLITE_READONLY, READ_ONLY):
        return ReadOnlyDatabase
    return StaleStatement if _is_stale(error) else None


def _is_stale(error: Exception) -> bool:
    # The code (feature_not_supported) is that of much else, and the words depend on the language.
    said = getattr(error.__cause__, "diag", None)
    return getattr(said, "source_function", None) == "RevalidateCachedQuery"


def is_outage(error: Exception) -> bool:
    """Return whether the database can't be reached, or breaks off."""
    is_plain = isinstance(error, OperationalError | InterfaceError)
    return is_plain or sqlstate_of(error) in (*PREPARED, *SESSION_LIMITS)


def _has_code(error: Exception, sqlite_code: int, *sqlstates: str) -> bool:
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite_code
    return sqlstate_of(error) in sqlstates


def sqlstate_of(error: BaseException) -> str | None:
    """Return PostgreSQL's code of what Django raised, if it has one."""
    return getattr(error.__cause__, "sqlstate", None)


def database_failure(error: Exception, failure: str = InternalError.sentence) -> FugataError:
    """Return the error for a database that failed; log it, and free what its frames hold.

    `failure`: the sentence of one that is no outage.
    """
    if is_lock_failure(error):
        logger.warning("another session's lock was waited for in vain")
    else:
        logger.error("the database failed: %s", kinds_of(error))
    answer = _answer(error, failure)
    clear_frames(error)
    return answer


def _answer(error: Exception, failure: str) -> FugataError:
    if is_lock_failure(error):
        return RowLocked()
    if _has_code(error, sqlite3.SQLITE_FULL, DISK_FULL):
        return DiskFull()
    if is_outage(error):
        return DatabaseUnavailable()
    # What was to be stored is not of the type, or breaks a constraint: that a client may cause.
    is_content = isinstance(error, DataError | IntegrityError)
    return InternalError(failure) if is_content else DatabaseRefused(failure)


def kinds_of(error: BaseException) -> str:
    """Return what may be logged of a failure, with what led to it: the names of their kinds,
    PostgreSQL's codes, or why it could not be connected to; and what to do.
    """
    found = list(chain(error))
    codes = [str(code) for each in found if (code := getattr(each, "sqlstate", None))]
    texts = [str(each) for each in found if isinstance(each, OperationalError)]
    reasons = codes or _reasons(" ".join(texts))
    said = ", ".join([*sorted({type(each).__name__ for each in found}), *reasons])
    return f"{said}. DATABASE_URL: {PREPARED_REMEDY}" if set(codes) & set(PREPARED) else said


def _reasons(text: str) -> list[str]:
    """Return why a database could not be connected to, in words of ours."""
    return [reason for reason, words in _REASONS.items() if re.search(words, text)][:1]


def clear_frames(error: BaseException | None) -> None:
    """Free what an exception's frames hold.

    A failed connection is in a reference cycle with its exception until the garbage collector runs;
    until then its socket would occupy a session of the database once that answers again.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
