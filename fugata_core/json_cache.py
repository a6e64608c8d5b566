"""A cache in Redis that holds JSON: Django's own pickles, and a pickle runs code when it is read.

What is malformed, or is left of a version that pickled, counts as missing.
"""

import json
from typing import Any

from django.core.cache.backends import redis as django_redis
from redis.exceptions import ResponseError


class JSONSerializer:
    """What Django's cache calls for each value; whole numbers stay such, for INCR."""

    def dumps(self, value: Any) -> int | bytes:
        """Return what is kept in Redis. Raises TypeError for what JSON does not have."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, kept: bytes) -> Any:
        """Return the value, None if it is no JSON."""
        try:
            return json.loads(kept)
        except (ValueError, RecursionError):
            return None


class RedisCache(django_redis.RedisCache):
    """Django's, where a counter that is none begins anew."""

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Return the new value. Raises ValueError if there was none, or no whole number."""
        try:
            return super().incr(key, delta, version)
        except ResponseError as error:
            if type(error) is not ResponseError:  # Redis lacks memory, or the user a right
                raise
            self.delete(key, version)
            raise ValueError("it was no counter") from None
