"""Requests with large bodies: a few of them have a thread, the others wait in line without one."""

import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from fugata_core.limits import HUGE_BODIES, LARGE_BODIES, QUEUED, WAITS

_waits = WAITS.labels(LARGE_BODIES.name)


class Sender(Protocol):
    """A connection on which a large body comes in; `since`: when it joined the line."""

    is_huge: bool
    since: float
    deadline: float


S = TypeVar("S", bound=Sender)


class Admission(Generic[S]):
    """The line, and the places: so many for large bodies, of which a few may be huge.

    Used by one thread, the poller's.
    """

    def __init__(self, threads: int) -> None:
        self._places = LARGE_BODIES.places(threads)
        self._huge_places = min(HUGE_BODIES, self._places)
        self._line: deque[S] = deque()

    def join(self, sender: S) -> bool:
        """Put a request at the end of the line; False when that is too long."""
        if len(self._line) >= QUEUED:
            return False
        sender.since = time.monotonic()
        sender.deadline = sender.since + LARGE_BODIES.patience
        self._line.append(sender)
        return True

    def next(self) -> S | None:
        """Take the first in line for whom there is a place; None where there is none."""
        for sender in self._line:
            if self._places and (self._huge_places or not sender.is_huge):
                self._line.remove(sender)
                self._count(sender, -1)
                _waits.observe(time.monotonic() - sender.since)
                return sender
        return None

    def leave(self, sender: S) -> None:
        """Give the place of an answered request back."""
        self._count(sender, 1)

    def late(self, now: float) -> Iterator[S]:
        """Take out and yield those who waited too long."""
        while self._line and self._line[0].deadline <= now:
            late = self._line.popleft()
            _waits.observe(now - late.since)
            yield late

    def _count(self, sender: S, step: int) -> None:
        self._places += step
        self._huge_places += step if sender.is_huge else 0
