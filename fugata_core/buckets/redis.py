"""Token buckets in Redis: one for all processes. How a bucket is stored: see base.py."""

import hashlib
import logging
import math
import threading
import time
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from fugata_core.buckets.base import BUCKETS_FAILED, RateDecision, result

logger = logging.getLogger(__name__)


# KEYS[1]: the bucket. ARGV: microseconds per token; the most tokens a bucket holds.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- What is no number, "nan" or no string at all counts as a full bucket.
local full_at = math.max(now, tonumber(redis.pcall('GET', KEYS[1])) or 0)
local most = now + ARGV[1] * ARGV[2]
if full_at > most then -- the clock was set back, or the burst lowered: an empty bucket is the worst
    full_at = most
    local lasts = math.ceil(ARGV[1] * ARGV[2] / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f', most), 'PX', lasts)
end
local after = full_at + ARGV[1]
if after > most then return {0, now, full_at} end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
return {1, now, after}
"""
_TAKE_SHA = hashlib.sha1(_TAKE.encode(), usedforsecurity=False).hexdigest()


class RedisBuckets:
    """Buckets shared by any number of processes. A slow or unreachable Redis blocks no request."""

    #: Seconds for which requests skip Redis after it failed.
    RETRY_AFTER_FAILURE = 2.0

    def __init__(self, url: str, interval: float, burst: int) -> None:
        self._interval, self._burst = max(round(interval), 1), burst
        self._prefix = f"{settings.REDIS_PREFIX}:bucket:"
        self._pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=settings.REDIS_TIMEOUT,
            socket_connect_timeout=settings.REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        # One connection per thread: the pool's bookkeeping would be half of a command's cost.
        self._local = threading.local()
        self._circuit_open_until = 0.0

    def take(self, bucket: str) -> RateDecision:
        """Take a token from `bucket`, if there is one; allow the request if Redis fails."""
        if time.monotonic() < self._circuit_open_until:
            return self._unlimited()
        try:
            allowed, now, full_at = self._run(f"{self._prefix}{bucket}")
        except (redis.RedisError, OSError) as error:
            return self._open_circuit(error)
        return result(bool(allowed), now, full_at, self._interval, self._burst)

    def _run(self, key: str) -> list[int]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._pool.make_connection()
        try:
            return self._take_from(connection, key)
        except redis.ConnectionError:  # it may only have died while idle: retry
            connection.disconnect()
            return self._take_from(connection, key)

    def _take_from(self, connection: Any, key: str) -> list[int]:
        try:
            return self._evaluate(connection, "EVALSHA", _TAKE_SHA, key)
        except redis.exceptions.NoScriptError:  # Redis was restarted
            return self._evaluate(connection, "EVAL", _TAKE, key)
        except Exception:
            connection.disconnect()  # a late reply must not be read as the next one
            raise

    def _evaluate(self, connection: Any, command: str, script: str, key: str) -> list[int]:
        connection.send_command(command, script, 1, key, self._interval, self._burst)
        return connection.read_response()  # type: ignore[no-any-return]

    def _open_circuit(self, error: Exception) -> RateDecision:
        self._circuit_open_until = time.monotonic() + self.RETRY_AFTER_FAILURE
        BUCKETS_FAILED.inc()
        logger.warning("rate limits are off for now: Redis failed (%s)", type(error).__name__)
        return self._unlimited()

    def _unlimited(self) -> RateDecision:
        return RateDecision(True, self._burst, math.ceil(time.time()), 0)
