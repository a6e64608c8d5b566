"""Token buckets: one for all processes in Redis, or in the memory of the only process.

A bucket is kept as one number, the time at which it is full again (microseconds since 1970): the
tokens missing are that distance times the rate. An absent bucket is a full one. All are whole
microseconds, so that a double counts them exactly.
"""

import math
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings

_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of asking for a token; `full_at` in Unix seconds, `retry_after` in seconds."""

    allowed: bool
    remaining: int
    full_at: int
    retry_after: int


class Buckets(Protocol):
    """Where the buckets are kept."""

    def take(self, bucket: str) -> Taken:
        """Take a token from `bucket`, if there is one."""


def configured(rpm: int, burst: int) -> Buckets:
    """Return buckets of `burst` tokens and `rpm` new ones a minute, kept where the settings say."""
    interval = _MINUTE / rpm
    if settings.REDIS_URL:
        from fugata_site.redis_buckets import RedisBuckets  # large, and not everybody has Redis

        return RedisBuckets(settings.REDIS_URL, interval, burst)
    return MemoryBuckets(interval, burst)


def result(allowed: bool, now: int, full_at: int, interval: int, burst: int) -> Taken:
    """Return what came of asking for a token of a bucket that is full at `full_at`."""
    missing = max(full_at - now, 0) / interval
    wait = 0 if allowed else (missing - burst + 1) * interval
    return Taken(
        allowed=allowed,
        remaining=max(math.floor(burst - missing), 0),
        full_at=math.ceil(full_at / 1e6),
        retry_after=max(math.ceil(wait / 1e6), 1),
    )


class MemoryBuckets:
    """The buckets of a service that is one process."""

    #: Buckets that are kept at most.
    SWEEP_AT = 100_000

    def __init__(self, interval: float, burst: int) -> None:
        self._interval, self._burst = max(round(interval), 1), burst
        self._full_at: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, bucket: str) -> Taken:
        """Take a token from `bucket`, if there is one."""
        now = int(time.time() * 1e6)
        with self._lock:
            full_at = max(self._full_at.get(bucket, 0), now)
            most = now + self._interval * self._burst
            if full_at > most:  # the clock was set back: an empty bucket is the worst there is
                full_at = most
                self._keep(bucket, full_at, now)
            allowed = full_at + self._interval <= most
            if allowed:
                full_at += self._interval
                self._keep(bucket, full_at, now)
        return result(allowed, now, full_at, self._interval, self._burst)

    def _keep(self, bucket: str, full_at: int, now: int) -> None:
        if len(self._full_at) >= self.SWEEP_AT and bucket not in self._full_at:
            self._full_at = self._swept(now)
        self._full_at[bucket] = full_at

    def _swept(self, now: int) -> dict[str, int]:
        """Return the buckets that are not full; when too many, the half that misses most."""
        after = now
        live = sorted(at for at in self._full_at.values() if at > now)
        if len(live) >= self.SWEEP_AT:
            after = live[len(live) // 2]
        return {name: at for name, at in self._full_at.items() if at > after}
