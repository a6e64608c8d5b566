"""How many threads of a process each kind of work may hold, for how long, and why.

Work that may block gets only a part of WEB_THREADS, so that other requests are answered meanwhile:
whatever is full, REST threads are left (`threads_to_start`). A client holds a thread only while it
keeps up, and for REQUEST_TIMEOUT at most.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.conf import settings
from prometheus_client import Histogram

from fugata_core.errors import Overloaded


@dataclass(frozen=True, slots=True)
class Limit:
    """A part of the threads, and how long a request waits for one of them, in seconds."""

    name: str
    fraction: float
    max_wait: float
    least: int = 1
    most: int | None = None

    def places(self, threads: int) -> int:
        """Return how many of `threads` that is, from `least` to `most`."""
        places = max(int(threads * self.fraction), self.least)
        return min(places, self.most or places)


#: A thread at all, once the request has arrived. Clients give up by themselves. When all threads
#: are busy, the first tenth of a second is not measured: nobody has read the request yet.
THREADS = Limit("threads", 1, max_wait=math.inf)
#: Requests that need a database, a value store or a key provider: any of these may hang. They wait
#: for longer than row_locks.LOCK_TIMEOUT: locked rows must not look like a database that hangs.
BACKENDS = Limit("backends", 1 / 2, max_wait=3.0, least=3)
#: Of these, changes of one row, and new rows that refer to one row (a repository, a key), which
#: another session may have locked: never all, so that the others are served. Shorter than
#: LOCK_TIMEOUT, or they would follow those who gave up, and wait as long as those did.
ROW = Limit("row", 1 / 4, max_wait=1.5, most=2)
REFERENCES = Limit("references", 3 / 8, max_wait=1.5, least=2)
#: Of BACKENDS too, calls of key services: never all, so that what needs no key finds a place. Who
#: waits here holds one of BACKENDS: so briefly that nobody gives up waiting for that meanwhile.
KEY_SERVICES = Limit("key_services", 1 / 4, max_wait=0.5)
#: Responses that a client does not read at once: it may be as slow as `client_socket` allows.
READERS = Limit("readers", 1 / 2, max_wait=1.0)
#: Bodies that had not fully arrived when the request got its thread. They queue without one.
LARGE_BODIES = Limit("large_bodies", 1 / 4, max_wait=60.0)
#: Of these, refused bodies that are read to their end, so that the client sees why; they do not
#: wait. (A body that had arrived is not read any more, so that each of them has such a place.)
DISCARDS = Limit("discards", 1 / 4, max_wait=0.0)

#: Limits that hold threads beside each other; the places of all others are within these.
APART = (LARGE_BODIES, READERS, BACKENDS)
#: Threads that are left for what needs no place, whatever is full.
REST = 2


def threads_to_start(web_threads: int) -> int:
    """Return how many threads a process needs for WEB_THREADS: all places, and REST."""
    return sum(limit.places(web_threads) for limit in APART) + REST


#: Seconds that a connection may be idle before a request, or between two.
KEEPALIVE = 30
#: Seconds from a request's first byte to the end of its head. Until then it has no thread.
HEAD_TIMEOUT = 10.0
#: Seconds without a byte, sent or taken, after which the server gives up on a client.
IDLE_TIMEOUT = 30.0
#: Bytes a second that a client must average, after the first IDLE_TIMEOUT seconds. Whatever it
#: does, its request's thread waits for it for REQUEST_TIMEOUT in all.
MIN_RATE = 32 * 1024
#: Seconds that a client that was told "close" has to close its end (RFC 9112, section 9.6).
LINGER_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Discard:
    """How much of a body is read and dropped, so that the client sees why it was refused."""

    bytes: int
    seconds: float


#: Of a body that is too large or of no use, and of one whose client is refused.
DISCARD_TOO_LARGE = Discard(128 * 2**20, 10.0)
DISCARD_REFUSED = Discard(2**20, 1.0)

#: Threads beside those for requests: for the checks of the console, where one that hangs keeps
#: its thread; for data keys re-wrapped by a key service.
CHECK_THREADS = 8
REWRAP_THREADS = 8

#: Bytes of a body that must arrive before a thread gets the request.
FIRST_PART = 64 * 1024
#: At most MAX_HUGE_BODIES bodies over HUGE_BODY bytes at a time: a limit on memory, not threads.
HUGE_BODY, MAX_HUGE_BODIES = 2**20, 2
#: Maximum number of requests with large bodies in the queue, and of one client.
MAX_QUEUED, MAX_QUEUED_BY_CLIENT = 64, 16

WAITS = Histogram(
    "fugata_place_wait_seconds",
    "Seconds that a request waited for one of the threads it may have, also in vain, by limit",
    ["limit"],
    buckets=(0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
# Looked up once: that would be half of an observation's cost.
_WAITS_OF = {
    each.name: WAITS.labels(each.name)
    for each in (THREADS, ROW, REFERENCES, KEY_SERVICES, DISCARDS, *APART)
}


def observe_wait(limit: Limit, seconds: float) -> None:
    """Record a wait. A metrics file that can't be written must not cost a request its place."""
    with suppress(OSError):
        _WAITS_OF[limit.name].observe(seconds)


class Bulkhead:
    """The places of one limit.

    A request waits for as long as the limit says. If no place was freed meanwhile, the holders
    are assumed to hang, and further requests are refused at once until one is freed.
    """

    def __init__(self, limit: Limit, threads: int) -> None:
        self._limit = limit
        self._places = threading.BoundedSemaphore(limit.places(threads))
        self._hanging = False
        self._departures = 0

    @contextmanager
    def place(self, in_vain: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Hold a place while the block runs. Raises Overloaded when none is free in time.

        `in_vain`: with what the block fails where what it is for did not happen (see `leave`).
        """
        if not self.enter():
            raise Overloaded()
        was_in_vain = False
        try:
            yield
        except in_vain:
            was_in_vain = True
            raise
        finally:
            self.leave(in_vain=was_in_vain)

    def enter(self, until: float = math.inf) -> bool:
        """Take a place and return True; return False if none is free in time.

        `until`: when waiting ends whatever the limit says, on the monotonic clock.
        """
        if self._places.acquire(blocking=False):
            observe_wait(self._limit, 0.0)
            return True
        began = time.monotonic()
        entered = self._wait(until)
        observe_wait(self._limit, time.monotonic() - began)
        return entered

    def _wait(self, until: float) -> bool:
        while not self._hanging and (left := until - time.monotonic()) > 0:
            departures_before = self._departures
            if self._places.acquire(timeout=min(self._limit.max_wait, left)):
                return True
            if left >= self._limit.max_wait:
                self._hanging = self._departures == departures_before
        return False

    def leave(self, *, in_vain: bool = False) -> None:
        """Give a place back. In vain: what it was held for did not happen, which frees nobody."""
        if not in_vain:
            self._departures += 1
            self._hanging = False
        self._places.release()

    @property
    def is_hanging(self) -> bool:
        """Whether those who find no free place are refused at once."""
        return self._hanging


_bulkheads: dict[tuple[Limit, int], Bulkhead] = {}
_creation_lock = threading.Lock()


def bulkhead(limit: Limit) -> Bulkhead:
    """Return this process's one bulkhead for that limit."""
    key = (limit, settings.WEB_THREADS)
    found = _bulkheads.get(key)
    if found is None:
        with _creation_lock:
            found = _bulkheads.setdefault(key, Bulkhead(*key))
    return found
