"""Requests with large bodies: a few of them have a thread, the others queue without one."""

import threading
import time
from collections import deque
from typing import Generic, Protocol, TypeVar

from fugata_core.limits import LARGE_BODIES, MAX_HUGE_BODIES, MAX_QUEUED, observe_wait


class QueuedRequest(Protocol):
    """A connection on which a large body is arriving; `since`: when it joined the queue."""

    is_huge: bool
    since: float
    deadline: float


R = TypeVar("R", bound=QueuedRequest)


class Admission(Generic[R]):
    """The queue, and the places for large bodies, of which a few may be huge.

    Any thread may use it.
    """

    def __init__(self, threads: int) -> None:
        self._places = LARGE_BODIES.places(threads)
        self._huge_places = min(MAX_HUGE_BODIES, self._places)
        self._queue: deque[R] = deque()
        self._lock = threading.Lock()

    def enqueue(self, request: R) -> bool:
        """Append a request to the queue; return False when that is full."""
        with self._lock:
            if len(self._queue) >= MAX_QUEUED:
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
        if not self._places:
            return None
        fitting = (each for each in self._queue if self._huge_places or not each.is_huge)
        return next(fitting, None)

    def _adjust(self, request: R, step: int) -> None:
        self._places += step
        self._huge_places += step if request.is_huge else 0
