"""Whether requests fail because of the database: what became of this process's last ones.

A database that answers the health probe may still fail what requests ask: a table or a right is
missing, all its connections are taken, its disk is full.
"""

import threading
import time

from django.http import HttpRequest
from django.urls import Resolver404, resolve

from fugata_core.errors import DatabaseRefused, DatabaseUnavailable, DiskFull, FugataError

#: How many requests fail, of any kinds that do not succeed meanwhile, until that goes on.
MAX_FAILED = 3
#: Seconds after the last failure until it counts as over, and until it is forgotten; beside those
#: that it took, for the next one may take as long to fail.
QUIET, FORGOTTEN = 5.0, 600.0

_METHODS = ("GET", "POST", "PUT", "DELETE")


class Failures:
    """Counts requests that failed by what was asked for, since such a one last succeeded.

    `limit`: from how many on they `go_on`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._failed: dict[str, int] = {}
        self._next = 0.0  # when one may have failed again
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._failed)

    @property
    def go_on(self) -> bool:
        """Whether so many failed, the last one lately."""
        with self._lock:
            is_recent = time.monotonic() - self._next < QUIET
            return is_recent and sum(self._failed.values()) >= self._limit

    def add(self, what: str, took: float = 0.0) -> None:
        """Note that a request for `what` failed, and took so many seconds."""
        with self._lock:
            now = time.monotonic()
            if now - self._next >= FORGOTTEN:
                self._failed.clear()
            self._next = max(self._next if self._failed else now, now + took)
            self._failed[what] = self._failed.get(what, 0) + 1

    def end(self, what: str) -> None:
        """Note that a request for `what` succeeded."""
        with self._lock:
            self._failed.pop(what, None)

    def forget(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._failed.clear()


#: This process's: where the database failed, and where its disk was full.
failing, full_disk = Failures(MAX_FAILED), Failures(1)


def note_error(request: HttpRequest, error: FugataError) -> None:
    """Note the error that a request ends with, if the database is to blame for it."""
    if isinstance(error, DiskFull):
        full_disk.add(_what(request), _took(request))
    elif isinstance(error, DatabaseUnavailable | DatabaseRefused):
        failing.add(_what(request), _took(request))


def note_answer(request: HttpRequest, status: int) -> None:
    """Note the status that a request ends with. Costs nothing while none has failed."""
    if (failing or full_disk) and status < 400:
        for failures in (failing, full_disk):
            failures.end(_what(request))


def _took(request: HttpRequest) -> float:
    now = time.monotonic()
    return now - float(getattr(request, "began", now))


def _what(request: HttpRequest) -> str:
    """Return the method and the view: one that fails may never ask what others ask.

    What a middleware answered was not resolved before; a static file leads to no view.
    """
    method = request.method
    try:
        match = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return "no view"
    return f"{method if method in _METHODS else ''} {match.view_name}"
