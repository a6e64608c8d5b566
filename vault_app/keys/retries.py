"""Calls to a key service are made again while that makes sense, and there is time left."""

import itertools
import time
from collections.abc import Callable
from typing import TypeVar

from vault_app.backoff import backoff
from vault_app.errors import KeyServiceAway, KeyServiceBusy
from vault_app.keys.transport import time_left

T = TypeVar("T")

#: Attempts at most where the service fails; where it is only asked too often, time is the limit.
ATTEMPTS = 3


def retrying(call: Callable[[], T]) -> T:
    """Return what `call` returns, calling again with growing pauses within the `time_limit`.

    All our calls are safe to repeat. Raises what the last attempt raised; or KeyServiceBusy, if a
    service that is asked too often left the last one no time.
    """
    busy: KeyServiceBusy | None = None
    for attempt in itertools.count(1):
        try:
            return call()
        except KeyServiceAway as error:
            busy = error if isinstance(error, KeyServiceBusy) else busy
            pause = _pause(error, attempt)
            if not _has_time_for(pause or 0.0):
                raise busy or error from None
            if pause is None:
                raise
        time.sleep(pause)
    raise AssertionError


def _pause(error: KeyServiceAway, attempt: int) -> float | None:
    """Return the seconds before the next attempt; None if there is to be none."""
    if isinstance(error, KeyServiceBusy):
        return max(error.retry_after, backoff(attempt))
    return backoff(attempt) if attempt < ATTEMPTS else None


def _has_time_for(pause: float) -> bool:
    try:
        return time_left() > pause
    except TimeoutError:
        return False
