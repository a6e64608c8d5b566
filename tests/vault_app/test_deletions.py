"""Deletions of many are interrupted by a hold, by rows that come back, and by the time."""

import itertools
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery.signals import task_prerun
from django.db.models.functions import Now

from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.fixtures import Clock, clock
from vault_app import leftovers, reconcile
from vault_app.deletion_hold import BATCH_SECONDS, DURATION, hold_deletions
from vault_app.deletions import BATCH, delete_each
from vault_app.errors import StoreUnavailable
from vault_app.models import DeletionHold, Leftover
from vault_app.reconcile import reconcile_all
from vault_app.stores.base import StoredObject
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


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """Run tasks as soon as they are sent, and list them."""
    runs: list[str] = []

    def note(sender: Any, **_: object) -> None:
        assert len(runs) < 2 * COUNT / RECONCILE_BUDGET, "it never ends"
        runs.append(sender.name)

    reconcile_values.app.conf.task_always_eager = True
    task_prerun.connect(note)
    yield runs
    task_prerun.disconnect(note)
    reconcile_values.app.conf.task_always_eager = False


def test_a_run_leaves_the_rest_to_others(full: MemoryStore, slow: Clock) -> None:
    """A worker that runs one task at a time would not purge meanwhile."""
    leftovers.note("shares", full.values)
    assert reconcile_values() == RECONCILE_BUDGET
    assert Leftover.objects.count() == COUNT - RECONCILE_BUDGET
    assert sum(report.leftovers for _, report in reconcile_all()) == COUNT - RECONCILE_BUDGET
    assert full.values == {}


def test_runs_follow_until_all_leftovers_are_gone(
    full: MemoryStore, slow: Clock, sent: list[str]
) -> None:
    leftovers.note("shares", full.values)
    reconcile_values()
    assert full.values == {}
    assert len(sent) == COUNT / RECONCILE_BUDGET - 1


def test_runs_follow_until_all_orphans_are_gone(
    full: MemoryStore, slow: Clock, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "MIN_AGE", timedelta(0))
    monkeypatch.setattr(reconcile, "exceeds_tenth", lambda part, whole: False)
    monkeypatch.setattr(full, "list", lambda: iter(_old(full.values)))
    reconcile_values()
    assert full.values == {}


def _old(names: Iterable[str]) -> list[StoredObject]:
    return [StoredObject(name, timedelta(days=2)) for name in tuple(names)]


def test_one_that_is_never_deleted_keeps_no_other_waiting(
    full: MemoryStore, slow: Clock, sent: list[str]
) -> None:
    """Runs follow while they delete some."""
    leftovers.note("shares", full.values)
    stuck, delete = min(full.values), full.delete

    def refuse(name: str, within: float | None = None) -> None:
        if name == stuck:
            raise StoreUnavailable("injected")
        delete(name, within)

    full.delete = refuse  # type: ignore[method-assign]
    reconcile_values()
    assert list(full.values) == [stuck]


def test_none_follows_a_run_that_deletes_nothing(full: MemoryStore, sent: list[str]) -> None:
    leftovers.note("shares", full.values)
    with hold_deletions():
        assert reconcile_values() == 0
    full.failing = {"delete"}
    assert reconcile_values() == 0
    assert sent == []
