"""Places for those who wait for one row: who is refused at once, and what is remembered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest
from django.db import OperationalError
from pytest_django.fixtures import Settings

from fugata_core import row_locks
from fugata_core.errors import RowLocked
from fugata_core.limits import BACKENDS, REFERENCES, ROW, Limit
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


class Holder:
    """A thread that holds the only place of a row until it is let go, or fails."""

    def __init__(self, rows: KeyedBulkhead, pool: ThreadPoolExecutor) -> None:
        self._rows, self._inside, self._go = rows, Event(), Event()
        self._held = pool.submit(self._hold)
        assert self._inside.wait(60)

    def _hold(self) -> None:
        with self._rows.place("row"):
            self._inside.set()
            self._go.wait(60)

    def let_go(self) -> None:
        self._go.set()
        self._held.result()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_who_comes_after_a_wait_in_vain_is_refused_at_once(
    rows: KeyedBulkhead, pool: ThreadPoolExecutor
) -> None:
    holder = Holder(rows, pool)
    assert not rows.would_refuse("row"), "nobody has waited yet"
    with pytest.raises(RowLocked), rows.place("row"):
        pass
    assert rows.would_refuse("row")
    assert not rows.would_refuse("another")
    holder.let_go()
    assert not rows.would_refuse("row"), "the row was changed after all"
    assert not rows._shared


def test_a_row_that_hung_is_remembered_until_somebody_succeeds(
    rows: KeyedBulkhead, pool: ThreadPoolExecutor
) -> None:
    hang(rows, "row")
    with suppress(RowLocked):
        fail(rows, "row")
    assert not rows.would_refuse("row"), "the next one finds out"
    holder = Holder(rows, pool)
    assert rows.would_refuse("row")
    holder.let_go()
    assert not rows._shared


def hang(rows: KeyedBulkhead, key: str) -> None:
    """Wait for a lock in vain while another waits for the place in vain."""
    with suppress(RowLocked), rows.place(key):
        with suppress(RowLocked), rows.place(key):
            pass
        raise RowLocked()


def test_a_failure_alone_is_no_reason_to_refuse_others(
    rows: KeyedBulkhead, pool: ThreadPoolExecutor
) -> None:
    """One locked row of a repository says nothing about the others."""
    with suppress(RowLocked):
        fail(rows, "row")
    holder = Holder(rows, pool)
    assert not rows.would_refuse("row")
    holder.let_go()


def test_a_refusal_further_in_is_no_evidence_either(settings: Settings) -> None:
    settings.WEB_THREADS = 16
    rows, repositories = KeyedBulkhead(IMPATIENT), KeyedBulkhead(IMPATIENT)
    with repositories.place("repository"):
        with pytest.raises(RowLocked), rows.place("row"), repositories.place("repository"):
            pass
    assert not rows._shared


def test_the_last_that_hung_are_remembered(
    rows: KeyedBulkhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_locks, "MAX_REMEMBERED", 3)
    for number in range(10):
        hang(rows, f"row {number}")
    assert list(rows._shared) == ["row 7", "row 8", "row 9"]


@pytest.mark.parametrize("threads", [4, 5, 8, 16, 512])
def test_a_row_never_holds_all_that_need_a_backend(threads: int) -> None:
    backends, repository, row = (limit.places(threads) for limit in (BACKENDS, REFERENCES, ROW))
    assert row <= 2
    assert row < repository < backends


def test_locked_rows_do_not_look_like_a_database_that_hangs() -> None:
    limit = int(LOCK_TIMEOUT.removesuffix("s"))
    assert max(ROW.max_wait, REFERENCES.max_wait) < limit < BACKENDS.max_wait
