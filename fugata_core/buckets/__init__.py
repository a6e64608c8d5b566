"""Token buckets: one for all processes in Redis, or in the memory of the only process."""

from django.conf import settings

from fugata_core.buckets.base import Buckets
from fugata_core.buckets.memory import MemoryBuckets

_MINUTE = 60_000_000


def configured(rpm: int, burst: int) -> Buckets:
    """Return buckets of `burst` tokens and `rpm` new ones a minute, kept where the settings say."""
    interval = _MINUTE / rpm
    if settings.REDIS_URL:
        from fugata_core.buckets.redis import RedisBuckets  # large, and not everybody has Redis

        return RedisBuckets(settings.REDIS_URL, interval, burst)
    return MemoryBuckets(interval, burst)
