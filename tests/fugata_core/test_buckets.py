"""The token bucket: the contract of both kinds of buckets."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django.fixtures import Settings

from fugata_core import buckets
from fugata_core.buckets.base import Buckets, RateDecision
from fugata_core.buckets.memory import MemoryBuckets
from fugata_core.buckets.redis import RedisBuckets
from tests.support.servers.parts import RedisServer

SECOND = 1e6
MINUTE = 60 * SECOND
Make = Callable[[float, int], Buckets]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Make:
    """`make(interval, burst)`: buckets whose tokens come back one each `interval` microseconds."""
    if request.param == "memory":
        return MemoryBuckets
    server: RedisServer = request.getfixturevalue("redis_server")
    url = server.url()
    return lambda interval, burst: RedisBuckets(url, interval, burst)


def take(all_: Buckets, count: int, bucket: str = "a") -> list[RateDecision]:
    return [all_.take(bucket) for _ in range(count)]


@pytest.mark.parametrize("burst", [1, 2, 10, 100])
@pytest.mark.parametrize("interval", [MINUTE, MINUTE / 0.7, MINUTE * 7])
def test_exactly_the_burst(make: Make, burst: int, interval: float) -> None:
    taken = take(make(interval, burst), burst + 3)
    assert [one.allowed for one in taken] == [True] * burst + [False] * 3


@pytest.mark.parametrize("rate", [1, 7, 11, 13, 60, 61, 70, 90, 1000, 999_983])
def test_a_burst_of_one_lets_one_through(make: Make, rate: int) -> None:
    """Also where the minute is no multiple of the rate."""
    assert make(MINUTE / rate, 1).take("a").allowed


def test_what_remains(make: Make) -> None:
    taken = take(make(MINUTE, 5), 7)
    assert [one.remaining for one in taken] == [4, 3, 2, 1, 0, 0, 0]


def test_when_it_is_full_again(make: Make) -> None:
    before = time.time()
    taken = take(make(MINUTE, 3), 4)
    after = time.time()
    for missing, one in zip((1, 2, 3, 3), taken, strict=True):
        assert math.floor(before) + 60 * missing <= one.full_at
        assert one.full_at <= math.ceil(after) + 60 * missing


def test_when_to_try_again(make: Make) -> None:
    refused = take(make(10 * SECOND, 3), 4)[-1]
    assert 1 <= refused.retry_after <= 10
    assert take(make(SECOND * 3600, 1), 2, "slow")[-1].retry_after in (3599, 3600)


def test_a_refusal_takes_nothing(make: Make) -> None:
    all_ = make(MINUTE, 2)
    full_at = take(all_, 2)[-1].full_at
    assert all(abs(one.full_at - full_at) <= 1 for one in take(all_, 50))


def test_each_bucket_is_its_own(make: Make) -> None:
    all_ = make(MINUTE, 2)
    assert not take(all_, 3, "a")[-1].allowed
    assert all_.take("b").remaining == 1


def test_tokens_come_back(make: Make) -> None:
    """An interval of a millisecond: refused ones pass as soon as it went by."""
    all_ = make(MINUTE, 1)
    assert [one.allowed for one in take(all_, 2, "slow")] == [True, False]
    quick = make(1000, 1)
    passed = sum(quick.take("quick").allowed for _ in range(10_000))
    assert passed > 1


def test_many_at_once_share_one_bucket(make: Make) -> None:
    all_, start = make(MINUTE, 25), threading.Barrier(10, timeout=60)

    def work(_: int) -> int:
        start.wait()
        return sum(all_.take("a").allowed for _ in range(10))

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(work, range(10))) == 25


def test_the_names_of_buckets_are_kept_apart(make: Make) -> None:
    all_ = make(MINUTE, 1)
    for name in ("a", "a:", "A", "a b", "", "é", "a\n"):
        assert all_.take(name).allowed
        assert not all_.take(name).allowed


def test_the_settings_choose(settings: Settings, redis_server: RedisServer) -> None:
    settings.REDIS_URL = ""
    memory = buckets.new_buckets(60, 2)
    assert isinstance(memory, MemoryBuckets)
    assert [one.allowed for one in take(memory, 3)] == [True, True, False]
    settings.REDIS_URL = redis_server.url()
    assert isinstance(buckets.new_buckets(60, 10), RedisBuckets)
