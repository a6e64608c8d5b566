"""Places for those who wait for one row: who is refused at once, and what is remembered."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest
from django.db import OperationalError
from pytest_django.fixtures import Settings

from fugata_core import row_locks
from fugata_core.errors import RowLocked
from fugata_core.limits import BACKENDS, REPOSITORY, ROW, Limit
from fugata_core.row_locks import LOCK_TIMEOUT, KeyedBulkhead

#: One place, and no wait for it.
IMPATIENT = Limit("row", 1 / 4, max_wait=0.0, most=1)


class Failure(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


@pytest.fixture
def rows(settings: Settings) -> KeyedBulkhead:
    settings.WEB_THREADS = 16
    return KeyedBulkhead(IMPATIENT)


def fail(rows: KeyedBulkhead, key: str, sqlstate: str = "55P03") -> None:
    """Wait for a lock in vain, or fail otherwise."""
    with rows.place(key):
        raise OperationalError from Failure(sqlstate)


def test_a_lock_in_vain_is_a_refusal(rows: KeyedBulkhead) -> None:
    with pytest.raises(RowLocked):
        fail(rows, "row")
    with pytest.raises(RowLocked):
        fail(rows, "row", "40P01")


def test_other_failures_stay_what_they_are(rows: KeyedBulkhead) -> None:
    with pytest.raises(OperationalError):
        fail(rows, "row", "57P01")
    assert not rows._shared


def test_one_row_is_not_another(rows: KeyedBulkhead) -> None:
    with rows.place("row"), rows.place("another"):
        with pytest.raises(RowLocked), rows.place("row"):
            pass
    assert not rows._shared, "nobody is there, and nothing hung"


def test_who_comes_after_a_lock_in_vain_is_refused_at_once(settings: Settings) -> None:
    settings.WEB_THREADS = 4
    rows = KeyedBulkhead(Limit("row", 1 / 4, max_wait=60.0))
    inside, go = Event(), Event()

    def hold() -> None:
        with rows.place("row"):
            inside.set()
            go.wait(60)

    with suppress(RowLocked):
        fail(rows, "row")
    assert not rows.would_refuse("row"), "one place is free"
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        assert inside.wait(60)
        assert rows.would_refuse("row")
        assert not rows.would_refuse("another")
        with pytest.raises(RowLocked), rows.place("row"):
            pass
        go.set()
        holder.result()
    assert not rows.would_refuse("row"), "the row was changed after all"
    assert not rows._shared


def test_what_hung_is_remembered_up_to_a_number(
    rows: KeyedBulkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_locks, "MAX_REMEMBERED", 3)
    for number in range(10):
        with suppress(RowLocked):
            fail(rows, f"row {number}")
    assert len(rows._shared) == 3


@pytest.mark.parametrize("threads", [4, 5, 8, 16, 512])
def test_a_row_never_holds_all_that_need_a_backend(threads: int) -> None:
    backends, repository, row = (limit.places(threads) for limit in (BACKENDS, REPOSITORY, ROW))
    assert row <= 2
    assert row < repository <= backends
    assert row < backends


def test_locks_are_found_out_before_the_waits_for_them_end() -> None:
    assert int(LOCK_TIMEOUT.removesuffix("s")) < ROW.max_wait < BACKENDS.max_wait
    assert REPOSITORY.max_wait < BACKENDS.max_wait
