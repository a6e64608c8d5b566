"""Buckets in Redis: shared by all, and nobody waits for a Redis that is gone."""

import logging
import time

import pytest
import redis

from fugata_core.buckets import redis as redis_buckets
from fugata_core.buckets.redis import RedisBuckets
from tests.support.in_process.fixtures import Clock
from tests.support.servers.parts import RedisServer

MINUTE = 6e7
BURST = 3


def allowed(all_: RedisBuckets, count: int) -> list[bool]:
    return [all_.take("a").allowed for _ in range(count)]


def test_two_processes_share_one_bucket(redis_server: RedisServer) -> None:
    url = redis_server.url()
    first, second = (RedisBuckets(url, MINUTE, BURST) for _ in range(2))
    assert allowed(first, 2) == [True, True]
    assert allowed(second, 2) == [True, False]


def test_a_script_that_redis_forgot(redis_server: RedisServer) -> None:
    url = redis_server.url()
    all_ = RedisBuckets(url, MINUTE, BURST)
    assert allowed(all_, 1) == [True]
    with redis.Redis.from_url(url) as client:
        client.script_flush()
    assert allowed(all_, 3) == [True, True, False]


def test_a_bucket_ends_when_it_is_full(redis_server: RedisServer) -> None:
    url = redis_server.url()
    RedisBuckets(url, MINUTE, BURST).take("a")
    with redis.Redis.from_url(url) as client:
        (key,) = client.keys()
        assert 59_000 < client.pttl(key) <= 60_002


def test_a_clock_that_is_set_back_locks_nobody_out(redis_server: RedisServer) -> None:
    """A bucket that is full only in a year is taken for an empty one."""
    url = redis_server.url()
    with redis.Redis.from_url(url) as client:
        client.set("fugata:bucket:a", int((time.time() + 3e7) * 1e6))
        refused = RedisBuckets(url, MINUTE, BURST).take("a")
        assert not refused.allowed
        assert refused.retry_after <= 60
        left = int(client.get("fugata:bucket:a") or 0) / 1e6 - time.time()
        assert left <= BURST * 60, "and it fills from now on"
        assert 0 < client.pttl("fugata:bucket:a") <= BURST * 60_000 + 1


@pytest.mark.parametrize("found", ["", "a", "nan", "-inf", b"\x80\x04K\x01.", ["a list"]])
def test_what_is_no_bucket_counts_as_a_full_one(
    redis_server: RedisServer, found: str | bytes | list[str]
) -> None:
    url = redis_server.url()
    with redis.Redis.from_url(url) as client:
        if isinstance(found, list):
            client.lpush("fugata:bucket:a", *found)
        else:
            client.set("fugata:bucket:a", found)
        assert allowed(RedisBuckets(url, MINUTE, BURST), 4) == [True, True, True, False]
        assert 0 < client.pttl("fugata:bucket:a") <= BURST * 60_000 + 1


def test_what_is_kept_names_no_address(redis_server: RedisServer) -> None:
    url = redis_server.url()
    RedisBuckets(url, MINUTE, BURST).take("0123456789abcdef")
    with redis.Redis.from_url(url) as client:
        assert client.keys() == [b"fugata:bucket:0123456789abcdef"]


def test_redis_is_gone_and_comes_back(
    redis_server: RedisServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(redis_buckets, "time", clock)
    all_ = RedisBuckets(redis_server.url(), MINUTE, BURST)
    asked = counted(all_, monkeypatch)
    assert allowed(all_, 4) == [True, True, True, False]
    redis_server.stop()
    try:
        with caplog.at_level(logging.WARNING):
            assert allowed(all_, 20) == [True] * 20
        assert len(asked) == 5, "the circuit spares the next ones the wait"
        assert [record.getMessage() for record in caplog.records] == [
            "rate limits are off for now: Redis failed (ConnectionError)"
        ]
        clock.move(RedisBuckets.RETRY_AFTER_FAILURE + 0.1)
        assert allowed(all_, 5) == [True] * 5
        assert len(asked) == 6, "it is tried again after the pause"
    finally:
        redis_server.start()
    clock.move(RedisBuckets.RETRY_AFTER_FAILURE + 0.1)
    assert allowed(all_, 4) == [True, True, True, False]


def counted(all_: RedisBuckets, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each time that Redis is asked."""
    asked: list[str] = []
    run = all_._run

    def noting(key: str) -> list[int]:
        asked.append(key)
        return run(key)

    monkeypatch.setattr(all_, "_run", noting)
    return asked


def test_without_redis_there_are_still_headers(
    redis_server: RedisServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_buckets, "time", clock)
    all_ = RedisBuckets("redis://127.0.0.1:1/0", MINUTE, BURST)
    taken = all_.take("a")
    assert (taken.allowed, taken.remaining, taken.full_at) == (True, BURST, 1_700_000_000)


def test_a_redis_that_hangs(redis_server: RedisServer) -> None:
    """It answers nothing; requests go through, and late answers are nobody's."""
    import signal

    all_ = RedisBuckets(redis_server.url(), MINUTE, BURST)
    assert all_.take("a").remaining == BURST - 1
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        assert allowed(all_, 10) == [True] * 10
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    all_._circuit_open_until = 0.0
    assert all_.take("b").remaining == BURST - 1
    assert all_.take("b").remaining == BURST - 2
