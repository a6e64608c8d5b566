"""Token buckets in the memory of a service that is one process."""

import threading
import time

from fugata_core.buckets.base import RateDecision, result


class MemoryBuckets:
    """The buckets of a service that is one process."""

    #: Maximum number of buckets kept.
    SWEEP_AT = 100_000

    def __init__(self, interval: float, burst: int) -> None:
        self._interval, self._burst = max(round(interval), 1), burst
        self._full_at: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, bucket: str) -> RateDecision:
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
            self._full_at = self._sweep(now)
        self._full_at[bucket] = full_at

    def _sweep(self, now: int) -> dict[str, int]:
        """Return the buckets that are not full; if there are too many, the emptier half."""
        after = now
        live = sorted(at for at in self._full_at.values() if at > now)
        if len(live) >= self.SWEEP_AT:
            after = live[len(live) // 2]
        return {name: at for name, at in self._full_at.items() if at > after}
