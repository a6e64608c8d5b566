"""Whether values can be stored: asked at the start, noticed by failed attempts, found out again."""

import itertools
from contextlib import suppress

import pytest

from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.fixtures import Clock, clock
from vault_app import writes as module
from vault_app.errors import StoreUnavailable, ValueConflict
from vault_app.models import Leftover
from vault_app.writes import FIRST_PAUSE, LAST_PAUSE, MAX_FAILED, Writes

__all__ = ["clock"]
pytestmark = pytest.mark.django_db


def attempt(writes: Writes, store: MemoryStore) -> None:
    with suppress(StoreUnavailable):
        writes.put(store, store.new_name(1), b"x")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def ticking(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which trials are made."""
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def proved(store: MemoryStore) -> Writes:
    """Those of a process that has stored something."""
    writes = Writes()
    attempt(writes, store)
    store.calls.clear()
    return writes


def test_a_new_process_asks_once(store: MemoryStore) -> None:
    writes = Writes()
    writes.probe(store)
    writes.probe(store)
    assert store.calls == ["put", "delete"]
    assert store.values == {}


def test_a_new_process_asks_until_it_can(store: MemoryStore, ticking: Clock) -> None:
    writes = Writes()
    assert not writes.are_failing
    store.failing = {"put"}
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            writes.probe(store)
        assert writes.are_failing
    store.failing = set()
    ticking.move(FIRST_PAUSE)
    writes.probe(store)
    assert not writes.are_failing


def test_one_who_stores_needs_not_ask(store: MemoryStore, proved: Writes) -> None:
    proved.probe(store)
    assert store.calls == []


def test_failures_in_a_row_raise_a_doubt(store: MemoryStore, proved: Writes) -> None:
    for _ in range(3):
        store.failing = {"put"}
        for _ in range(MAX_FAILED - 1):
            attempt(proved, store)
        assert not proved.are_failing
        proved.probe(store)
        store.failing = set()
        attempt(proved, store)
    store.failing = {"put"}
    for _ in range(MAX_FAILED):
        attempt(proved, store)
    assert proved.are_failing
    with pytest.raises(StoreUnavailable):
        proved.probe(store)


@pytest.mark.parametrize("how", ["a request", "the probe"])
def test_it_is_well_again(store: MemoryStore, proved: Writes, how: str) -> None:
    store.failing = {"put"}
    for _ in range(MAX_FAILED):
        attempt(proved, store)
    store.failing = set()
    attempt(proved, store) if how == "a request" else proved.probe(store)
    assert not proved.are_failing
    store.calls.clear()
    proved.probe(store)
    assert store.calls == []


def test_what_can_not_be_deleted_could_be_stored(store: MemoryStore) -> None:
    """To ask again would leave another one each time."""
    writes = Writes()
    store.failing = {"delete"}
    writes.probe(store)
    writes.probe(store)
    assert store.calls == ["put", "delete"]


def test_one_app_says_nothing_about_the_other(store: MemoryStore, proved: Writes) -> None:
    """A policy may refuse the objects of one."""
    other = MemoryStore()
    other.app = "repositories"
    attempt(proved, other)
    other.failing = {"put"}
    for _ in range(MAX_FAILED):
        attempt(proved, other)
        attempt(proved, store)
        proved.probe(store)
    assert proved.are_failing
    with pytest.raises(StoreUnavailable):
        proved.probe(other)


def test_whatever_a_backend_raises_is_a_failure(store: MemoryStore, proved: Writes) -> None:
    def fail() -> None:
        raise RuntimeError("nobody foresaw it")

    store.before = {"put": fail}
    for _ in range(MAX_FAILED):
        with pytest.raises(RuntimeError):
            proved.put(store, "name", b"x")
    assert proved.are_failing
    for writes in (proved, Writes()):
        with pytest.raises(RuntimeError):
            writes.probe(store)
        assert writes.are_failing


def test_trials_that_fail_get_rarer(store: MemoryStore, ticking: Clock) -> None:
    writes, began, tried = Writes(), ticking.monotonic(), list[float]()
    store.failing = {"put"}
    store.before = {"put": lambda: tried.append(ticking.monotonic() - began)}
    for _ in range(300):
        with pytest.raises(StoreUnavailable, match="injected"):
            writes.probe(store)
        assert writes.are_failing
        ticking.move(1)
    assert tried[:6] == [0, 2, 6, 14, 30, 62]
    assert {after - before for before, after in itertools.pairwise(tried[5:])} == {LAST_PAUSE}


def test_after_a_success_they_are_frequent_again(store: MemoryStore, ticking: Clock) -> None:
    writes = Writes()
    for _ in range(2):
        store.failing = {"put"}
        store.calls.clear()
        for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
            with pytest.raises(StoreUnavailable):
                writes.probe(store)
            ticking.move(pause)
        assert store.calls.count("put") == 2
        store.failing = set()
        attempt(writes, store)
        writes._failed.clear()


def test_a_trial_goes_even_if_it_seemed_to_fail(store: MemoryStore) -> None:
    """Its answer came too late."""
    put = store.put

    def lose(name: str, sealed: bytes) -> None:
        put(name, sealed)
        raise StoreUnavailable("injected")

    store.put = lose  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        Writes().probe(store)
    assert store.values == {}
    assert not Leftover.objects.exists()


def test_a_trial_that_can_not_be_deleted_is_noted_and_serves_again(
    store: MemoryStore, ticking: Clock
) -> None:
    store.failing = {"delete"}
    put = store.put

    def lose(name: str, sealed: bytes) -> None:
        put(name, sealed)
        raise StoreUnavailable("injected")

    store.put = lose  # type: ignore[method-assign]
    writes = Writes()
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            writes.probe(store)
        ticking.move(LAST_PAUSE)
    assert [each.name for each in Leftover.objects.all()] == list(store.values)
    store.put = put  # type: ignore[method-assign]
    writes.probe(store)
    assert len(store.values) == 1
    assert not writes.are_failing


def test_a_trial_that_was_changed_is_of_no_use(store: MemoryStore, ticking: Clock) -> None:
    """The next one has another name, and tells whether what is stored is still changed."""
    writes = Writes()
    store.failing = {"delete"}
    writes.probe(store)
    store.values = dict.fromkeys(store.values, b"changed")
    writes._failed.clear()
    with pytest.raises(ValueConflict):
        writes.probe(store)
    ticking.move(FIRST_PAUSE)
    writes.probe(store)
    assert len(store.values) == 2
