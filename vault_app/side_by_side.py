"""Many data keys at a time: side by side where a key service has them, and with patience.

A service that is asked too often is asked again; where it is away, the rest is not tried.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vault_app.backends import key_provider
from vault_app.errors import KeyServiceAway, KeyServiceBusy, KeyUnavailable, VaultError

R = TypeVar("R")
T = TypeVar("T")

#: Seconds without any success after which a key service that is asked too often is given up.
PATIENCE = 30.0
#: The first pause before each call of such a service, and the longest, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class NotTried(KeyUnavailable):
    """The key service was away for another data key of the batch."""


class Attempts:
    """The attempts of one batch. Where the service is asked too often, they come one by one, and
    slowly enough that it serves others too.

    `pause`: the seconds before each of them; 0 while they come side by side.
    """

    def __init__(self) -> None:
        self._until = time.monotonic() + PATIENCE
        self.pause, self._slowed_at = 0.0, float("-inf")
        self._turn = threading.Lock()
        self._is_over = threading.Event()

    def patiently(self, call: Callable[[], T]) -> T:
        """Return what a call of the key provider returns. Raises VaultError."""
        while self._goes_on():
            began = time.monotonic()
            try:
                return self._done(call())
            except KeyServiceBusy:  # although the call itself made pauses
                self._slow_down(began)
                if time.monotonic() > self._until:
                    self._is_over.set()
                    raise
            except KeyServiceAway:
                self._is_over.set()
                raise
        raise NotTried("a key could not be had")

    def _goes_on(self) -> bool:
        """Wait for a turn if the service is asked too often; return whether to ask it."""
        if self.pause:
            with self._turn:
                self._is_over.wait(self.pause)
        return not self._is_over.is_set()

    def _slow_down(self, began: float) -> None:
        """Make longer pauses, once for all calls that were under way together."""
        if began > self._slowed_at:
            self.pause = min(max(2 * self.pause, FIRST_PAUSE), LONGEST_PAUSE)
            self._slowed_at = time.monotonic()

    def _done(self, outcome: T) -> T:
        self._until = time.monotonic() + PATIENCE
        self.pause = self.pause * 0.9 if self.pause > FIRST_PAUSE / 10 else 0.0
        return outcome


def patiently(call: Callable[[], T]) -> T:
    """Return what one call of the key provider returns; not for requests, which can't wait so long.

    Raises VaultError.
    """
    return Attempts().patiently(call)


def side_by_side(work: Callable[[Attempts, R], T], rows: Sequence[R]) -> list[T | VaultError]:
    """Return what `work` makes of each row, or why it can't be done.

    It runs in several threads, so it must not use the database.
    """
    attempts, at_once = Attempts(), key_provider().concurrency

    def outcome(row: R) -> T | VaultError:
        try:
            return work(attempts, row)
        except VaultError as error:
            return error

    if at_once == 1:
        return [outcome(row) for row in rows]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(outcome, rows))
