"""Requests with large bodies: a few of them have a thread, the others queue without one.

No client can keep others out: it may not take the last place while it holds one, nor a quarter of
the queue.
"""

import threading
import time
from collections import Counter, deque
from typing import Generic, Protocol, TypeVar

from fugata_core.limits import (
    LARGE_BODIES,
    MAX_HUGE_BODIES,
    MAX_QUEUED,
    MAX_QUEUED_BY_CLIENT,
    observe_wait,
)


class QueuedRequest(Protocol):
    """A connection on which a large body is arriving; `since`: when it joined the queue."""

    is_huge: bool
    client: str
    since: float
    deadline: float


R = TypeVar("R", bound=QueuedRequest)


class Admission(Generic[R]):
    """The queue, and the places for large bodies, of which a few may be huge.

    Any thread may use it.
    """

    def __init__(self, web_threads: int) -> None:
        self._places = LARGE_BODIES.places(web_threads)
        self._huge_places = min(MAX_HUGE_BODIES, self._places)
        self._queue: deque[R] = deque()
        #: How many places each client holds, and how many of those are for huge bodies.
        self._held: Counter[tuple[str, bool]] = Counter()
        self._lock = threading.Lock()

    def enqueue(self, request: R) -> bool:
        """Append a request to the queue; return False when that is full, or its client's part."""
        with self._lock:
            queued = sum(each.client == request.client for each in self._queue)
            if len(self._queue) >= MAX_QUEUED or queued >= MAX_QUEUED_BY_CLIENT:
                return False
            request.since = time.monotonic()
            request.deadline = request.since + LARGE_BODIES.max_wait
            self._queue.append(request)
            return True

    def admit(self) -> R | None:
        """Remove and return the first request that there is a place for; None if there is none."""
        with self._lock:
            request = self._first_with_a_place()
            if request is not None:
                self._queue.remove(request)
                self._adjust(request, -1)
        if request is not None:
            observe_wait(LARGE_BODIES, time.monotonic() - request.since)
        return request

    def release(self, request: R) -> None:
        """Give back the place of an answered request."""
        with self._lock:
            self._adjust(request, 1)

    def remove_overdue(self, now: float) -> list[R]:
        """Remove and return those that have waited too long."""
        overdue: list[R] = []
        with self._lock:
            while self._queue and self._queue[0].deadline <= now:
                overdue.append(self._queue.popleft())
        for request in overdue:
            observe_wait(LARGE_BODIES, now - request.since)
        return overdue

    def _first_with_a_place(self) -> R | None:
        return next(filter(self._has_a_place, self._queue), None)

    def _has_a_place(self, request: R) -> bool:
        huge = self._held[request.client, True]
        held = huge + self._held[request.client, False]
        if request.is_huge and not _leaves_room(self._huge_places, huge):
            return False
        return _leaves_room(self._places, held)

    def _adjust(self, request: R, step: int) -> None:
        self._places += step
        self._huge_places += step if request.is_huge else 0
        key = (request.client, request.is_huge)
        self._held[key] -= step
        if not self._held[key]:
            del self._held[key]


def _leaves_room(free: int, held: int) -> bool:
    """Return whether a client that holds so many places may take one of those that are free."""
    return free > (1 if held else 0)
