"""Rows that another session has locked: how long a statement waits, and how many threads do.

On PostgreSQL; SQLite has one lock for the whole database.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from django.conf import settings
from django.db import OperationalError, connection

from fugata_core.database_failures import database_failure, is_lock_failure
from fugata_core.errors import RowLocked
from fugata_core.limits import Bulkhead, Limit

#: How long a statement waits for a lock before it fails, with nothing changed.
LOCK_TIMEOUT = "2s"
#: How many rows that hung are remembered, at most, while nobody asks for them.
MAX_REMEMBERED = 1000


def row_place(rows: "KeyedBulkhead", key: Hashable) -> AbstractContextManager[None]:
    """Return `rows.place(key)` on PostgreSQL, and nothing to wait for elsewhere."""
    return rows.place(key) if connection.vendor == "postgresql" else nullcontext()


@dataclass(slots=True)
class _Shared:
    bulkhead: Bulkhead
    users: int = 0


class KeyedBulkhead:
    """A bulkhead for each row, or other key; it is forgotten when nobody is there.

    Unless it hung: then those who find no place are refused at once until somebody succeeds.
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
            in_vain = False
            try:
                yield
            except RowLocked:
                in_vain = True
                raise
            except OperationalError as error:
                in_vain = is_lock_failure(error)
                if not in_vain:
                    raise
                raise database_failure(error) from None
            finally:
                bulkhead.leave(in_vain=in_vain)

    def would_refuse(self, key: Hashable) -> bool:
        """Return whether a request for a place of `key` would be refused at once."""
        places = self._limit.places(settings.WEB_THREADS)
        shared = self._shared.get(key)
        return shared is not None and shared.bulkhead.is_hanging and shared.users >= places

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
                if not shared.users and not shared.bulkhead.is_hanging:
                    del self._shared[key]
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        if len(self._shared) > MAX_REMEMBERED:
            idle = (key for key, shared in self._shared.items() if not shared.users)
            self._shared.pop(next(idle, None), None)
