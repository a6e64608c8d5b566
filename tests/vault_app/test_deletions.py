"""Deletions of many are interrupted by a hold, by rows that come back, and by the time."""

import itertools
from collections.abc import Collection

import pytest
from django.db.models.functions import Now

from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.fixtures import Clock, clock
from vault_app import leftovers
from vault_app.deletion_hold import BATCH_SECONDS, DURATION
from vault_app.deletions import BATCH, delete_each
from vault_app.models import DeletionHold, Leftover
from vault_app.reconcile import reconcile_all
from vault_app.tasks import RECONCILE_BUDGET, reconcile_values

__all__ = ["clock"]
pytestmark = pytest.mark.django_db

COUNT = 4 * BATCH


@pytest.fixture
def full(remote_store: MemoryStore) -> MemoryStore:
    """A store of many values, none of which a row points to."""
    remote_store.values = {f"{number:032x}": b"x" for number in range(COUNT)}
    return remote_store


@pytest.fixture
def slow(full: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of a store that deletes one value in a second."""
    for module in ("deletions", "reconcile"):
        monkeypatch.setattr(f"vault_app.{module}.time", clock)
    full.before = {"delete": lambda: clock.move(1)}
    return clock


def test_each_batch_asks_for_a_hold(full: MemoryStore) -> None:
    def then_hold() -> None:
        if full.calls.count("delete") == 1:
            DeletionHold.objects.create(until=Now() + DURATION)

    full.before = {"delete": then_hold}
    deleted, failed = delete_each(full, full.values, set)
    assert (len(deleted), failed) == (BATCH, 0)
    assert len(full.values) == COUNT - BATCH


def test_each_batch_asks_what_may_go(full: MemoryStore) -> None:
    asked: list[int] = []

    def may_go(names: Collection[str]) -> set[str]:
        asked.append(len(names))
        return set(names) if len(asked) == 1 else set()

    deleted, _ = delete_each(full, full.values, may_go)
    assert asked == [BATCH] * 4
    assert len(deleted) == BATCH


def test_a_row_that_comes_back_is_seen_by_the_next_batch(full: MemoryStore) -> None:
    leftovers.note("shares", full.values)
    back: set[str] = set()

    def come_back() -> None:
        back.update(full.values)

    full.before = {"delete": come_back}
    gone, _ = leftovers.delete_noted("shares", full, back.intersection)
    assert gone == BATCH
    assert not Leftover.objects.exists()


def test_one_that_is_noted_no_longer_stays(full: MemoryStore) -> None:
    """A restore forgets the notes of what it puts."""
    leftovers.note("shares", full.values)
    full.before = {"delete": lambda: leftovers.forget(full.values)}
    assert leftovers.delete_noted("shares", full, lambda _: set()) == (BATCH, 0)


def test_a_batch_ends_soon(full: MemoryStore, slow: Clock) -> None:
    asked: list[float] = []

    def may_go(names: Collection[str]) -> set[str]:
        asked.append(slow.monotonic())
        return set(names)

    delete_each(full, full.values, may_go)
    assert full.values == {}
    pauses = {after - before for before, after in itertools.pairwise(asked)}
    assert pauses == {BATCH_SECONDS}


def test_the_task_leaves_the_rest_to_the_next_run(full: MemoryStore, slow: Clock) -> None:
    """A worker that runs one task at a time would not purge meanwhile."""
    leftovers.note("shares", full.values)
    assert reconcile_values() == RECONCILE_BUDGET
    assert Leftover.objects.count() == COUNT - RECONCILE_BUDGET
    assert sum(report.leftovers for _, report in reconcile_all()) == COUNT - RECONCILE_BUDGET
    assert full.values == {}
