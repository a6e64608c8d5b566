"""The arithmetic of the bucket, on a clock that stands still until it is moved."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fugata_core.buckets import memory
from fugata_core.buckets.base import RateDecision
from fugata_core.buckets.memory import MemoryBuckets
from tests.support.in_process.fixtures import Clock

SECOND = 1e6
START = 1_700_000_000


@pytest.fixture(autouse=True)
def stopped(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "time", clock)


def drained(interval: float, burst: int) -> MemoryBuckets:
    all_ = MemoryBuckets(interval, burst)
    assert all(all_.take("a").allowed for _ in range(burst))
    assert not all_.take("a").allowed
    return all_


def test_the_contracts_example() -> None:
    """RPM=60, BURST=10: ten at once, then one a second."""
    all_ = MemoryBuckets(SECOND, 10)
    taken = [all_.take("a") for _ in range(11)]
    assert taken[0] == RateDecision(True, 9, START + 1, 1)
    assert taken[9] == RateDecision(True, 0, START + 10, 1)
    assert taken[10] == RateDecision(False, 0, START + 10, 1)


def test_one_token_a_second(clock: Clock) -> None:
    all_ = drained(SECOND, 10)
    for _ in range(5):
        clock.move(1)
        assert [all_.take("a").allowed for _ in range(2)] == [True, False]
    clock.move(0.5)
    assert not all_.take("a").allowed
    clock.move(0.5)
    assert all_.take("a").allowed


def test_it_never_holds_more_than_the_burst(clock: Clock) -> None:
    all_ = drained(SECOND, 3)
    clock.move(3600)
    assert [all_.take("a").allowed for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_is_set_back_locks_nobody_out(clock: Clock) -> None:
    all_ = drained(SECOND, 3)
    clock.move(-3600)
    assert all_.take("a").retry_after == 1
    clock.move(1)
    assert all_.take("a").allowed


@pytest.mark.parametrize(("passed", "wait"), [(0, 10), (0.5, 10), (1.5, 9), (3.5, 7), (9.5, 1)])
def test_how_long_to_wait(clock: Clock, passed: float, wait: int) -> None:
    all_ = drained(10 * SECOND, 3)
    clock.move(passed)
    refused = all_.take("a")
    assert not refused.allowed
    assert refused.retry_after == wait
    clock.move(wait)
    assert all_.take("a").allowed


@pytest.mark.parametrize(("passed", "remaining"), [(0, 6), (0.4, 6), (1, 7), (1.5, 7), (60, 9)])
def test_what_remains_after_a_while(clock: Clock, passed: float, remaining: int) -> None:
    all_ = MemoryBuckets(SECOND, 10)
    for _ in range(3):
        all_.take("a")
    clock.move(passed)
    assert all_.take("a").remaining == remaining


@given(
    steps=st.lists(st.floats(0, 30), min_size=1, max_size=60),
    rate=st.integers(1, 6000),
    burst=st.integers(1, 20),
)
@hypothesis_settings(deadline=None)
def test_no_more_than_the_burst_and_the_rate(steps: list[float], rate: int, burst: int) -> None:
    moved = Clock()
    interval = 60 * SECOND / rate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "time", moved)
        all_, passed, allowed = MemoryBuckets(interval, burst), 0.0, 0
        for step in steps:
            moved.move(step)
            passed += step
            one = all_.take("a")
            allowed += one.allowed
            assert allowed <= burst + passed * rate / 60 + 1e-3
            assert 0 <= one.remaining < burst
        if not one.allowed:
            moved.move(one.retry_after)
            assert all_.take("a").allowed


def test_full_buckets_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryBuckets, "SWEEP_AT", 100)
    all_ = MemoryBuckets(SECOND, 1)
    for number in range(100):
        all_.take(f"old {number}")
    clock.move(2)
    all_.take("new")
    assert len(all_._full_at) == 1
    assert not all_.take("new").allowed


def test_a_flood_of_empty_buckets_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that miss most are remembered best."""
    monkeypatch.setattr(MemoryBuckets, "SWEEP_AT", 100)
    kept = MemoryBuckets(60_000_000, 5)
    for _ in range(5):
        assert kept.take("abuser").allowed
    for number in range(1000):
        assert kept.take(f"client {number}").allowed
        assert len(kept._full_at) <= 100
    assert not kept.take("abuser").allowed
