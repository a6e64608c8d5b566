"""The contract of a value store, over every store."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_app.errors import ValueConflict, ValueMissing
from vault_app.stores.base import ValueStore
from vault_app.stores.database import DatabaseStore

pytestmark = pytest.mark.django_db

MIB = 2**20


@pytest.fixture(
    params=["database", pytest.param("kubernetes", marks=pytest.mark.kubernetes)],
)
def store(request: pytest.FixtureRequest) -> ValueStore:
    """Each store in turn, empty."""
    if request.param == "database":
        return DatabaseStore()
    request.getfixturevalue("kubernetes_namespace")
    from tests.support.in_process.stores import kubernetes_store

    return kubernetes_store()


def put(store: ValueStore, sealed: bytes) -> str:
    """Keep a value under a new name and return the name."""
    name = store.new_name(len(sealed))
    store.put(name, sealed)
    return name


def test_what_was_put_comes_back(store: ValueStore) -> None:
    name, other = put(store, b"sealed"), put(store, b"another")
    assert store.get(name) == b"sealed"
    assert isinstance(store.get(name), bytes)
    assert store.get(other) == b"another"


@given(sealed=st.binary(max_size=300))
def test_any_bytes_come_back(store: ValueStore, sealed: bytes) -> None:
    name = put(store, sealed)
    assert store.get(name) == sealed
    store.delete(name)


@pytest.mark.parametrize(
    "size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, 10 * MIB, 10 * MIB + 29]
)
def test_a_value_of_any_size_comes_back(store: ValueStore, size: int) -> None:
    sealed = os.urandom(size)
    name = put(store, sealed)
    assert store.get(name) == sealed
    assert [kept.name for kept in store.list()] == [name]
    store.delete(name)
    assert list(store.list()) == []
    with pytest.raises(ValueMissing):
        store.get(name)


@pytest.mark.parametrize("size", [1, MIB, MIB + 1, 2**28 + 29])
def test_names_are_new_opaque_and_short(store: ValueStore, size: int) -> None:
    names = {store.new_name(size) for _ in range(100)}
    assert len(names) == 100
    assert all(len(name) <= 64 for name in names)
    assert len({name[:8] for name in names}) == 100


@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_the_same_value_may_be_put_twice_and_no_other(store: ValueStore, size: int) -> None:
    """A restore that was broken off is run again."""
    sealed = os.urandom(size)
    name = put(store, sealed)
    store.put(name, sealed)
    with pytest.raises(ValueConflict):
        store.put(name, os.urandom(size))
    assert store.get(name) == sealed


def test_a_value_that_is_not_there(store: ValueStore) -> None:
    for size in (1, 3 * MIB):
        with pytest.raises(ValueMissing):
            store.get(store.new_name(size))


def test_deleting(store: ValueStore) -> None:
    name, other = put(store, b"sealed"), put(store, b"another")
    store.delete(name)
    with pytest.raises(ValueMissing):
        store.get(name)
    assert store.get(other) == b"another"


def test_deleting_twice_is_fine(store: ValueStore) -> None:
    name = put(store, b"sealed")
    store.delete(name)
    store.delete(name, within=1.0)
    store.delete("never there")
    store.delete(store.new_name(3 * MIB))


def test_the_listing_names_what_is_kept(store: ValueStore) -> None:
    assert list(store.list()) == []
    names = [put(store, b"1"), put(store, b"2")]
    assert sorted(kept.name for kept in store.list()) == sorted(names)
    store.delete(names[0])
    assert [kept.name for kept in store.list()] == names[1:]


def test_a_store_that_is_well_says_nothing(store: ValueStore) -> None:
    store.check()
