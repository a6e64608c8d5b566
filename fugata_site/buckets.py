"""Token buckets: one for all processes in Redis, or in the memory of the only process.

A bucket is kept as one number, the time at which it is full again (microseconds since 1970): the
tokens missing are that distance times the rate. An absent bucket is a full one. All are whole
microseconds, so that a double counts them exactly.
"""

import hashlib
import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

_MINUTE = 60_000_000

# KEYS[1]: the bucket. ARGV: microseconds a token takes to come back; the most tokens there are.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
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
        return RedisBuckets(settings.REDIS_URL, interval, burst)
    return MemoryBuckets(interval, burst)


def _result(allowed: bool, now: int, full_at: int, interval: int, burst: int) -> Taken:
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
        return _result(allowed, now, full_at, self._interval, self._burst)

    def _keep(self, bucket: str, full_at: int, now: int) -> None:
        if len(self._full_at) >= self.SWEEP_AT and bucket not in self._full_at:
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
        self._full_at[bucket] = full_at


class RedisBuckets:
    """The buckets of any number of processes. Redis being slow or down blocks nobody."""

    #: Seconds for which requests are spared the wait after Redis failed.
    PAUSE = 2.0

    def __init__(self, url: str, interval: float, burst: int) -> None:
        self._interval, self._burst = max(round(interval), 1), burst
        self._pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=settings.REDIS_TIMEOUT,
            socket_connect_timeout=settings.REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        # A connection a thread: half of what a command costs is the pool's bookkeeping.
        self._own = threading.local()
        self._open_until = 0.0

    def take(self, bucket: str) -> Taken:
        """Take a token from `bucket`, if there is one, or if Redis does not answer in time."""
        if time.monotonic() < self._open_until:
            return self._unlimited()
        try:
            allowed, now, full_at = self._run(f"fugata:bucket:{bucket}")
        except (redis.RedisError, OSError) as error:
            return self._open_circuit(error)
        return _result(bool(allowed), now, full_at, self._interval, self._burst)

    def _run(self, key: str) -> list[int]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._pool.make_connection()
        try:
            return self._take_from(connection, key)
        except redis.ConnectionError:  # one that died while idle says nothing about Redis
            connection.disconnect()
            return self._take_from(connection, key)

    def _take_from(self, connection: Any, key: str) -> list[int]:
        try:
            return self._evaluate(connection, "EVALSHA", _TAKE_SHA, key)
        except redis.exceptions.NoScriptError:  # Redis was restarted
            return self._evaluate(connection, "EVAL", _TAKE, key)
        except Exception:
            connection.disconnect()  # an answer that comes late must not be the next one's
            raise

    def _evaluate(self, connection: Any, command: str, script: str, key: str) -> list[int]:
        connection.send_command(command, script, 1, key, self._interval, self._burst)
        return connection.read_response()  # type: ignore[no-any-return]

    def _open_circuit(self, error: Exception) -> Taken:
        self._open_until = time.monotonic() + self.PAUSE
        logger.warning("rate limits are off for now: Redis failed (%s)", type(error).__name__)
        return self._unlimited()

    def _unlimited(self) -> Taken:
        return Taken(True, self._burst, math.ceil(time.time()), 0)
