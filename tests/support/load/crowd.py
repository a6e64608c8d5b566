"""Threads that send requests until a block ends."""

import threading
from typing import Self

from tests.support.servers.parts import wait_until


class Crowd:
    """Threads that each run `_run(number)` while the block runs, until `_end` is set.

    `done`: how many requests were answered, for those that count them.
    """

    def __init__(self, threads: int) -> None:
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]
        self._lock = threading.Lock()
        self.done = 0

    def _run(self, number: int) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the load; every answer that is on its way is awaited."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def await_more(self, count: int, seconds: float = 60.0) -> None:
        """Return when `count` more requests were answered."""
        target = self.done + count
        wait_until(lambda: self.done >= target, f"{count} more answers", seconds)
