"""Requests with large bodies: a few of them have a thread, the others queue without one."""

import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from fugata_core.limits import LARGE_BODIES, MAX_HUGE_BODIES, MAX_QUEUED, observe_wait


class Sender(Protocol):
    """A connection on which a large body is arriving; `since`: when it joined the queue."""

    is_huge: bool
    since: float
    deadline: float


S = TypeVar("S", bound=Sender)


class Admission(Generic[S]):
    """The queue, and the places for large bodies, of which a few may be huge.

    Used only by the poller's thread.
    """

    def __init__(self, threads: int) -> None:
        self._places = LARGE_BODIES.places(threads)
        self._huge_places = min(MAX_HUGE_BODIES, self._places)
        self._line: deque[S] = deque()

    def enqueue(self, sender: S) -> bool:
        """Append a request to the queue; return False when that is full."""
        if len(self._line) >= MAX_QUEUED:
            return False
        sender.since = time.monotonic()
        sender.deadline = sender.since + LARGE_BODIES.max_wait
        self._line.append(sender)
        return True

    def admit(self) -> S | None:
        """Remove and return the first request that there is a place for; None if there is none."""
        for sender in self._line:
            if self._places and (self._huge_places or not sender.is_huge):
                self._line.remove(sender)
                self._count(sender, -1)
                observe_wait(LARGE_BODIES, time.monotonic() - sender.since)
                return sender
        return None

    def release(self, sender: S) -> None:
        """Give back the place of an answered request."""
        self._count(sender, 1)

    def remove_late(self, now: float) -> Iterator[S]:
        """Remove and yield those that have waited too long."""
        while self._line and self._line[0].deadline <= now:
            late = self._line.popleft()
            observe_wait(LARGE_BODIES, now - late.since)
            yield late

    def _count(self, sender: S, step: int) -> None:
        self._places += step
        self._huge_places += step if sender.is_huge else 0
