"""Rows that another session has locked: how long a statement waits, and how many threads do.

On PostgreSQL; SQLite has one lock for the whole database.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import OperationalError, connection, transaction

from fugata_core.errors import RowLocked, database_failure, is_lock_failure
from fugata_core.limits import Bulkhead, Limit

#: How long a statement waits for a lock before it fails, with nothing changed.
LOCK_TIMEOUT = "2s"
#: Keys that are remembered, at most, while nobody asks for them.
MAX_REMEMBERED = 1000
# Key for pg_advisory_xact_lock; nothing else that uses the database may lock it.
_LOCK = 0x_F06A7A_10C4


def set_lock_timeout() -> None:
    """Give this session, and new ones of its role in its database, a `lock_timeout`.

    Unless the role, the database or the server has one. Start-up options would do it too, but
    PgBouncer refuses those.
    """
    if connection.vendor != "postgresql":
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])  # one ALTER ROLE at a time
        cursor.execute("SELECT current_database(), current_setting('lock_timeout')")
        database, current = cursor.fetchone()
        if current == "0":
            role = f"ROLE CURRENT_USER IN DATABASE {connection.ops.quote_name(database)}"
            cursor.execute(f"ALTER {role} SET lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


@contextmanager
def _lock_failures_as_refusals() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not is_lock_failure(error):
            raise
        raise database_failure(error) from None


@dataclass(slots=True)
class _Shared:
    bulkhead: Bulkhead
    users: int = 0


class KeyedBulkhead:
    """A bulkhead for each row, or other key; it is forgotten when nobody waits.

    Unless it hung: the next request for that row takes one of its few places and finds out, and
    the others are refused at once.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._shared: dict[Hashable, _Shared] = {}
        self._lock = threading.Lock()

    @contextmanager
    def place(self, key: Hashable) -> Iterator[None]:
        """Hold one of the places of `key` while the block changes its row.

        Raises RowLocked if no place is free in time, or a lock is not to be had in time.
        """
        with self._share(key) as bulkhead:
            if not bulkhead.enter():
                raise RowLocked()
            hung = False
            try:
                with _lock_failures_as_refusals():
                    yield
            except RowLocked:
                hung = True
                raise
            finally:
                bulkhead.leave(hung=hung)

    def would_refuse(self, key: Hashable) -> bool:
        """Return whether a request for a place of `key` would be refused at once."""
        shared = self._shared.get(key)
        return shared is not None and shared.bulkhead.would_refuse()

    @contextmanager
    def _share(self, key: Hashable) -> Iterator[Bulkhead]:
        with self._lock:
            shared = self._shared.get(key)
            if shared is None:
                bulkhead = Bulkhead(self._limit, settings.WEB_THREADS)
                shared = self._shared[key] = _Shared(bulkhead)
            shared.users += 1
        try:
            yield shared.bulkhead
        finally:
            with self._lock:
                shared.users -= 1
                self._forget(key, shared)

    def _forget(self, key: Hashable, shared: _Shared) -> None:
        is_remembered = shared.bulkhead.is_hanging and len(self._shared) <= MAX_REMEMBERED
        if not shared.users and not is_remembered:
            del self._shared[key]
