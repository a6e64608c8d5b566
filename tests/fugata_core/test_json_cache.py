"""The cache in Redis: JSON, counters that are atomic, and nothing that runs."""

import pickle

import pytest
import redis
from django.conf import settings
from django.core.cache.backends.base import BaseCache

from fugata_core.json_cache import JSONSerializer, RedisCache
from tests.support.servers.parts import RedisServer

UNREADABLE = [pickle.dumps([1, 2]), b"", b"\xff", b"{", b"[" * 100_000, b"9" * 5000]


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return redis_server.url()


@pytest.fixture
def cache(url: str) -> BaseCache:
    return RedisCache(url, {"OPTIONS": {"serializer": "fugata_core.json_cache.JSONSerializer"}})


@pytest.mark.parametrize("value", [0, -7, 2**60, [1, 2], "text", None, True, 1.5, {"a": [None]}])
def test_values_come_back(cache: BaseCache, value: object) -> None:
    cache.set("a", value)
    assert cache.get("a") == value


def test_counters_count(cache: BaseCache, url: str) -> None:
    assert cache.add("a", 1)
    assert not cache.add("a", 1)
    assert (cache.incr("a"), cache.decr("a"), cache.get("a")) == (2, 1, 1)
    with redis.Redis.from_url(url) as client:
        assert client.get(":1:a") == b"1"


@pytest.mark.parametrize("found", UNREADABLE)
def test_what_is_no_json_counts_as_missing(cache: BaseCache, url: str, found: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(":1:a", found)
    assert cache.get("a") is None


@pytest.mark.parametrize("found", [*UNREADABLE, b"1.5", ["a list"]])
def test_a_counter_that_is_none_begins_anew(
    cache: BaseCache, url: str, found: bytes | list[str]
) -> None:
    with redis.Redis.from_url(url) as client:
        if isinstance(found, list):
            client.lpush(":1:a", *found)
        else:
            client.set(":1:a", found)
    with pytest.raises(ValueError, match="no counter"):
        cache.incr("a")
    assert cache.add("a", 1)


def test_a_counter_that_redis_has_no_memory_for_stays(cache: BaseCache, url: str) -> None:
    cache.set("a", 5)
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                cache.incr("a")
        finally:
            client.config_set("maxmemory", "0")
    assert cache.get("a") == 5


def test_what_json_does_not_have_is_not_kept() -> None:
    with pytest.raises(TypeError):
        JSONSerializer().dumps(object())


def test_the_settings_have_it() -> None:
    from fugata_site.settings import tasks

    assert tasks._redis_cache["BACKEND"] == f"{RedisCache.__module__}.RedisCache"
    options = dict[str, object](tasks._redis_cache["OPTIONS"])  # type: ignore[arg-type]
    assert options["serializer"] == f"{JSONSerializer.__module__}.JSONSerializer"
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")
