"""A client of Redis for a question now and then, and what Redis refuses for good.

Requests don't use it: see buckets/redis.py.
"""

import ssl

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry


def client(timeout: float) -> redis.Redis:
    """Return a client that asks once and waits `timeout` seconds at most, for each step."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )


def refusal(timeout: float) -> str | None:
    """Return what is wrong with REDIS_URL for good; None if nothing is, or if Redis is down."""
    try:
        with client(timeout) as asked:
            asked.get(f"{settings.REDIS_PREFIX}:start")
    except redis.AuthenticationError:
        return "Redis refuses the user or the password, or asks for one"
    except redis.exceptions.NoPermissionError:
        return "the user may not use the keys that begin with REDIS_PREFIX"
    except redis.RedisError as error:
        return _refusal(error)
    return None


def _refusal(error: redis.RedisError) -> str | None:
    if "DB index" in str(error):
        return "Redis has no database of that number"
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        return "the certificate of Redis is not from a known authority, or not for that host"
    return None
