"""Token buckets: in Redis for all processes, or in memory where there is only one process."""

from django.conf import settings

from fugata_core.buckets.base import Buckets
from fugata_core.buckets.memory import MemoryBuckets

_MINUTE = 60_000_000


def new_buckets(rpm: int, burst: int) -> Buckets:
    """Return buckets that hold `burst` tokens and gain `rpm` a minute, stored as configured."""
    interval = _MINUTE / rpm
    if settings.REDIS_URL:
        from fugata_core.buckets.redis import RedisBuckets  # large, and Redis is optional

        return RedisBuckets(settings.REDIS_URL, interval, burst)
    return MemoryBuckets(interval, burst)
