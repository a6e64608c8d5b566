"""A client of Redis for a question now and then, and what Redis refuses for good.

Requests don't use it: see buckets/redis.py.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

_Command = tuple[str | float, ...]


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
        with client(timeout) as pool, pool.client() as asked:
            refusals = (_refused(asked, command) for command in _commands())
            return next((why for why in refusals if why), None)
    except redis.AuthenticationError:
        return "Redis refuses the user or the password, or asks for one"
    except redis.RedisError as error:
        return _cannot_connect(error, timeout)


def _commands() -> Iterator[_Command]:
    """Yield each command of the limits, the cache and the queue (kombu), and leave nothing."""
    key = f"{settings.REDIS_PREFIX}:start:"
    yield from [("PING",), ("TIME",), ("EVAL", "return 1", 0), ("EVALSHA", "0" * 40, 0)]
    yield from [("SCRIPT", "LOAD", "return 1")]
    yield from [("SET", f"{key}text", 1, "PX", 1000), ("GET", f"{key}text")]
    yield from [("EXISTS", f"{key}text"), ("INCRBY", f"{key}text", 1)]
    yield from [("SADD", f"{key}set", 1), ("SMEMBERS", f"{key}set"), ("SREM", f"{key}set", 1)]
    yield from [("HSET", f"{key}hash", 1, 1), ("HGET", f"{key}hash", 1), ("HDEL", f"{key}hash", 1)]
    yield from [("ZADD", f"{key}zset", 1, 1), ("ZRANGE", f"{key}zset", 0, 0)]
    yield from [("ZREM", f"{key}zset", 1), ("LPUSH", f"{key}list", 1), ("RPUSH", f"{key}list", 1)]
    yield from [("LLEN", f"{key}list"), ("RPOP", f"{key}list"), ("BRPOP", f"{key}list", 0.01)]
    yield from [("WATCH", key), ("MULTI",), ("EXEC",), ("UNWATCH",), ("DEL", f"{key}text")]


def _refused(asked: redis.Redis, command: _Command) -> str | None:
    """Return why Redis will never take `command`; what may pass, as a full memory, is None."""
    name = command[0]
    try:
        asked.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.ReadOnlyError:
        return "Redis is a read-only replica; it must be one that can be written to"
    except (redis.exceptions.NoPermissionError, redis.exceptions.ExecAbortError) as error:
        if "to access" in str(error):
            return "the user may not use the keys that begin with REDIS_PREFIX"
        return f"the user may not use {name}; docs/settings.md has a line of ACL that is enough"
    except redis.ResponseError as error:
        if "unknown command" in str(error):
            return f"Redis does not know {name}, which Fugata needs"
    return None


def _cannot_connect(error: redis.RedisError, timeout: float) -> str | None:
    if isinstance(error, redis.exceptions.NoPermissionError):
        return "the user may not use SELECT, which every database but 0 takes"
    if "DB index" in str(error):
        return "Redis has no database of that number"
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        return "the certificate of Redis is not from a known authority, or not for that host"
    if settings.REDIS_URL.startswith("rediss:") and _answers_without_tls(timeout):
        return "is rediss://, but what answers there does not speak TLS; redis:// is without TLS"
    return None


def _answers_without_tls(timeout: float) -> bool:
    """Return whether Redis answers in the clear: it does not answer the start of TLS at all."""
    parts = urlsplit(settings.REDIS_URL)
    address = parts.hostname or "", parts.port or 6379
    with suppress(OSError), socket.create_connection(address, timeout) as plain:
        plain.settimeout(timeout)
        plain.sendall(b"PING\r\n")
        return plain.recv(1) in (b"+", b"-")
    return False
