"""The purge: bounded batches, rows first, then values; by command and by task."""

from io import StringIO

import pytest
from django.core.management import call_command

from audit_app.actors import SERVICE
from fugata_core import tokens
from secrets_app import tasks
from secrets_app.actions import purge
from secrets_app.actions.purge import count_expired, purge_expired
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.secrets_app.support import expire, kinds, share
from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.fixtures import Clock
from vault_app import values

pytestmark = pytest.mark.django_db


def expired_shares(count: int) -> list[str]:
    made = [share() for _ in range(count)]
    for created in made:
        expire(created)
    return [created.share_id for created in made]


def test_batches_until_none_is_left() -> None:
    live = share("live")
    gone = expired_shares(7)
    assert count_expired() == 7
    assert list(purge_expired(batch=3)) == [3, 3, 1]
    assert list(purge_expired(batch=3)) == []
    assert count_expired() == 0
    assert all(kinds(tokens.digest(share_id)) == ["created", "expired"] for share_id in gone)
    assert reveal_share(live.share_id, SERVICE).content == b"live"


def test_rows_first_then_values(remote_store: MemoryStore) -> None:
    live = share("live")
    expired_shares(3)
    rows_left: list[int] = []
    remote_store.before["delete"] = lambda: rows_left.append(Share.objects.count())
    assert list(purge_expired()) == [3]
    assert rows_left == [1, 1, 1]
    assert len(remote_store.values) == 1
    assert reveal_share(live.share_id, SERVICE).content == b"live"


def test_a_store_that_fails_stops_nothing(remote_store: MemoryStore) -> None:
    expired_shares(3)
    remote_store.failing = {"delete"}
    assert list(purge_expired()) == [3]
    assert Share.objects.count() == 0


def run(**options: bool) -> str:
    said = StringIO()
    call_command("purge_expired", stdout=said, **options)
    return said.getvalue()


def test_the_command() -> None:
    expired_shares(2)
    share()
    assert run(dry_run=True) == "2 expired shares would be purged.\n"
    assert Share.objects.count() == 3
    assert run() == "2 expired shares purged.\n"
    assert run() == "0 expired shares purged.\n"
    assert Share.objects.count() == 1


def test_the_task() -> None:
    expired_shares(2)
    assert tasks.purge_expired() == 2
    assert tasks.purge_expired() == 0


def test_the_task_leaves_the_rest_to_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "BUDGET", -1.0)
    monkeypatch.setattr(purge, "purge_expired", lambda: purge_expired(batch=1))
    expired_shares(3)
    assert [tasks.purge_expired() for _ in range(4)] == [1, 1, 1, 0]


def test_a_store_that_is_down_is_asked_once_a_batch(remote_store: MemoryStore) -> None:
    """A purge of a thousand values does not wait a thousand times; reconciliation has them."""
    for _ in range(5):
        expire(share())
    remote_store.failing = {"delete"}
    assert list(purge_expired()) == [5]
    assert remote_store.calls.count("delete") == 1


def test_a_slow_store_delays_a_purge_by_a_small_batch(
    remote_store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are purged no quicker than their values are deleted, and each batch has an end."""
    for _ in range(purge.REMOTE_BATCH + 10):
        expire(share())
    monkeypatch.setattr(values, "time", clock)
    remote_store.before = {"delete": lambda: clock.move(0.9)}
    assert next(iter(purge_expired())) == purge.REMOTE_BATCH
    assert clock.steady - 1000 < values.DELETE_ALL_TIMEOUT + 1
    assert Share.objects.expired().count() == 10
