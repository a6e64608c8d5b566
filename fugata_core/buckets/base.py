"""What a token bucket is, whether it is in Redis or in memory.

A bucket is stored as one number, the time at which it is full again (microseconds since 1970): the
missing tokens are the time until then times the rate. An absent bucket is full. Times are whole
microseconds, which a double represents exactly.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

BUCKETS_FAILED = Counter(
    "fugata_rate_limiter_failures", "Times that Redis failed and the rate limits went off"
)


@dataclass(frozen=True, slots=True)
class RateDecision:
    """The outcome of asking for a token; `full_at` in Unix seconds.

    `retry_after`: seconds until there is a token; only of a refusal.
    """

    allowed: bool
    remaining: int
    full_at: int
    retry_after: int


class Buckets(Protocol):
    """A store of token buckets."""

    def take(self, bucket: str) -> RateDecision:
        """Take a token from `bucket`, if there is one."""


def result(allowed: bool, now: int, full_at: int, interval: int, burst: int) -> RateDecision:
    """Return the outcome of asking for a token from a bucket that is full at `full_at`."""
    missing = max(full_at - now, 0) / interval
    wait = 0 if allowed else (missing - burst + 1) * interval
    return RateDecision(
        allowed=allowed,
        remaining=max(math.floor(burst - missing), 0),
        full_at=math.ceil(full_at / 1e6),
        retry_after=max(math.ceil(wait / 1e6), 1),
    )
