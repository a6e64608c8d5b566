"""Whether values can be stored: asked at the start, noticed by failed attempts, found out again."""

from contextlib import suppress

import pytest

from tests.support.in_process.doubles import MemoryStore
from vault_app.errors import StoreUnavailable
from vault_app.writes import MAX_FAILED, Writes


def attempt(writes: Writes, store: MemoryStore) -> None:
    with suppress(StoreUnavailable):
        writes.put(store, store.new_name(1), b"x")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


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


def test_a_new_process_asks_until_it_can(store: MemoryStore) -> None:
    writes = Writes()
    assert not writes.are_failing
    store.failing = {"put"}
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            writes.probe(store)
        assert writes.are_failing
    store.failing = set()
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
