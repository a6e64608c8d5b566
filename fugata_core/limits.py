"""Bulkheads: what may hang holds so many threads, and never all of them.

Requests wait up to a second for a place. When nobody left a place in that second the backends
hang, and the next ones are refused at once until somebody leaves.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from fugata_core.errors import Overloaded

PATIENCE = 1.0


class Bulkhead:
    """So many places for what needs a backend."""

    def __init__(self, places: int) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._hanging = False
        self._left = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while the block runs. Raises Overloaded when there is none in time."""
        if not self.enter():
            raise Overloaded()
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Give a place back."""
        self._places.release()
        self._left += 1
        self._hanging = False

    def enter(self) -> bool:
        """Take a place; False when there is none in time."""
        if self._places.acquire(blocking=False):
            return True
        while not self._hanging:
            left_before = self._left
            if self._places.acquire(timeout=PATIENCE):
                return True
            self._hanging = self._left == left_before
        return False


@cache
def shared(threads: int) -> Bulkhead:
    """Return the one bulkhead of a process with `threads` request threads."""
    return Bulkhead(max(threads // 2, 1))
