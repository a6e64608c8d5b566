"""The contract of a value store, over every store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_app.vault.errors import ValueMissing
from secrets_app.vault.stores.base import ValueStore
from secrets_app.vault.stores.database import DatabaseStore

pytestmark = pytest.mark.django_db

STORES: list[type[ValueStore]] = [DatabaseStore]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> ValueStore:
    made: ValueStore = request.param()
    return made


def test_what_was_put_comes_back(store: ValueStore) -> None:
    store.put("name", b"sealed")
    store.put("other", b"another")
    assert store.get("name") == b"sealed"
    assert isinstance(store.get("name"), bytes)


@given(sealed=st.binary(max_size=300))
def test_any_bytes_come_back(store: ValueStore, sealed: bytes) -> None:
    store.put("name", sealed)
    assert store.get("name") == sealed
    store.delete("name")


def test_a_large_value_comes_back(store: ValueStore) -> None:
    sealed = bytes(range(256)) * 4096 * 10
    store.put("large", sealed)
    assert store.get("large") == sealed


def test_a_value_that_is_not_there(store: ValueStore) -> None:
    with pytest.raises(ValueMissing):
        store.get("name")


def test_deleting(store: ValueStore) -> None:
    store.put("name", b"sealed")
    store.put("other", b"another")
    store.delete("name")
    with pytest.raises(ValueMissing):
        store.get("name")
    assert store.get("other") == b"another"


def test_deleting_twice_is_fine(store: ValueStore) -> None:
    store.put("name", b"sealed")
    store.delete("name")
    store.delete("name")
    store.delete("never there")


def test_the_listing_names_what_is_kept(store: ValueStore) -> None:
    assert list(store.list()) == []
    store.put("one", b"1")
    store.put("two", b"2")
    assert sorted(kept.name for kept in store.list()) == ["one", "two"]
    store.delete("one")
    assert [kept.name for kept in store.list()] == ["two"]


def test_a_store_that_is_well_says_nothing(store: ValueStore) -> None:
    store.check()
