"""Sealing: every committed event gets the next position, once, by one sealer at a time."""

import time
from contextlib import closing
from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from audit_app import chain, refusals
from audit_app.actors import Actor
from audit_app.chain import GENESIS_MAC, Head
from audit_app.errors import AuditKeyChanged, ChainBroken, HeadUnavailable
from audit_app.heads import head_store
from audit_app.heads.file import FileHead
from audit_app.models import AuditEvent, AuditStub, RefusalCount
from audit_app.prune import prune_events
from audit_app.refusals import count_refusal
from audit_app.seal import seal_events
from audit_app.tasks import prune_audit_events, seal_audit_events
from audit_app.verify import verify
from fugata_core.errors import BadRequest
from tests.audit_app.support import at, edit, events, sealed
from tests.secrets_app.support import at_once

pytestmark = pytest.mark.django_db


def positions() -> list[int]:
    rows = AuditEvent.objects.filter(position__isnull=False).order_by("position")
    return list(rows.values_list("position", flat=True))  # type: ignore[arg-type]


def test_positions_follow_one_another() -> None:
    assert list(seal_events()) == []
    assert chain.head() == Head(0, GENESIS_MAC)
    events(5)
    assert [head.position for head in seal_events()] == [5]
    events(3)
    assert [head.position for head in seal_events()] == [8]
    assert positions() == list(range(1, 9))


def test_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_app.seal.BATCH", 4)
    events(10)
    assert [head.position for head in seal_events()] == [4, 8, 10]
    assert verify().problem is None


def test_the_head_is_kept_once_for_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeping waits for a disk, and the worker has other tasks; also if a run is left early."""
    monkeypatch.setattr("audit_app.seal.BATCH", 2)
    keep, kept = FileHead.keep, list[int]()

    def noted(store: FileHead, head: Head) -> None:
        kept.append(head.position)
        keep(store, head)

    monkeypatch.setattr(FileHead, "keep", noted)
    events(7)
    with closing(seal_events()) as sealing:
        assert next(sealing).position == 2
    assert [head.position for head in seal_events()] == [4, 6, 7]
    assert kept == [0, 2, 2, 7], "before the first batch, and after the last"
    assert head_store().read() == chain.head()


def test_an_event_that_commits_late_gets_a_later_position() -> None:
    first, second = events(2)
    AuditEvent.objects.filter(pk=first.pk).delete()  # not committed yet
    list(seal_events())
    first.save(force_insert=True)
    list(seal_events())
    assert at(1).pk == second.pk
    assert at(2).pk == first.pk
    assert verify().problem is None


@pytest.mark.django_db(transaction=True)
def test_sealers_at_once(rounds: int) -> None:
    count = max(rounds // 3, 4)

    def work(number: int) -> None:
        events(3)
        list(seal_events())

    at_once(4, count, work)
    list(seal_events())
    assert positions() == list(range(1, 4 * 3 * count + 1))
    assert verify().problem is None


def test_another_key_seals_nothing(settings: Settings) -> None:
    sealed(3)
    settings.AUDIT_KEY = "another"
    events(2)
    with pytest.raises(AuditKeyChanged, match="AUDIT_KEY"):
        list(seal_events())
    assert positions() == [1, 2, 3]


def test_a_changed_last_event_seals_nothing() -> None:
    sealed(3)
    edit(3, username="mallory")
    events(1)
    with pytest.raises(AuditKeyChanged):
        list(seal_events())


def test_the_key_is_compared_behind_a_stub_too() -> None:
    sealed(3, age=timedelta(days=9))
    sealed(1)
    assert prune_events(timedelta(days=8)) == 3
    assert sealed(1).position == 5
    assert verify().problem is None


def test_pruning_stops_at_the_first_that_is_young() -> None:
    sealed(2, age=timedelta(days=9))
    sealed(1)
    sealed(2, age=timedelta(days=9))
    events(1, age=timedelta(days=9))  # not sealed: it stays
    assert prune_events(timedelta(days=8)) == 2
    assert positions() == [3, 4, 5]
    assert AuditEvent.objects.count() == 4


def test_pruning_everything() -> None:
    head = sealed(6, age=timedelta(days=9))
    assert prune_events(timedelta(days=8)) == 6
    assert chain.head() == head
    assert verify([head]).problem is None
    assert sealed(1).position == 7


@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_broken_chain_is_not_pruned(position: int) -> None:
    sealed(3, age=timedelta(days=9))
    edit(position, username="mallory")
    with pytest.raises(ChainBroken):
        prune_events(timedelta(days=8))
    assert AuditEvent.objects.count() == 3
    assert not AuditStub.objects.exists()


def test_a_gap_is_not_pruned() -> None:
    sealed(3, age=timedelta(days=9))
    AuditEvent.objects.filter(position=2).delete()
    with pytest.raises(ChainBroken):
        prune_events(timedelta(days=8))
    assert AuditEvent.objects.count() == 2


def test_a_task_that_may_not_prune_fails(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUDIT_RETENTION = timedelta(days=8)
    sealed(3, age=timedelta(days=9))
    edit(2, username="mallory")
    with pytest.raises(ChainBroken):
        prune_audit_events()
    assert "the audit trail is not pruned: the chain is broken before position 2" in caplog.text
    settings.AUDIT_HEAD = settings.AUDIT_HEAD | {"OPTIONS": {"path": "/nowhere/head"}}
    with pytest.raises(HeadUnavailable):
        prune_audit_events()


def test_the_tasks(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    events(3)
    seal_audit_events()
    assert caplog.text.count(f"audit head {chain.head()}") == 1
    seal_audit_events()  # nothing new: nothing is published
    assert caplog.text.count("audit head") == 1
    settings.AUDIT_RETENTION = None
    assert prune_audit_events() == 0
    settings.AUDIT_RETENTION = timedelta(0)
    assert prune_audit_events() == 3
    assert verify([chain.head()]).problem is None


def test_a_run_that_ends_in_time_publishes_what_it_sealed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_app.seal.BATCH", 2)
    monkeypatch.setattr("audit_app.tasks.SEAL_BUDGET", 0.0)
    events(3)
    for position in (2, 3):
        seal_audit_events()
        assert chain.head().position == position
        assert f"audit head {chain.head()}" in caplog.text


def test_a_head_that_cannot_be_published(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUDIT_WEBHOOK_URL = "http://127.0.0.1:9/"
    events(1)
    seal_audit_events()
    assert "AUDIT_WEBHOOK_URL: the audit head was not published" in caplog.text
    assert positions() == [1]


@pytest.mark.parametrize("text", ["", "x", "1:", ":00", "1:zz", "1:00", "-1:" + "0" * 64])
def test_what_is_no_head(text: str) -> None:
    with pytest.raises(BadRequest, match="POSITION:HMAC"):
        Head.parse(text)


def minutes_later(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    at = time.time() + 60 * minutes
    monkeypatch.setattr("audit_app.minute_counts.time.time", lambda: at)


def test_refusals_are_one_event_for_each_client_and_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = (Actor(address_hash=bytes([n]) * 16) for n in (1, 2))
    minutes_later(monkeypatch, 0)
    for actor in (one, one, one, two):
        count_refusal(actor)
    assert AuditEvent.objects.count() == 0
    assert RefusalCount.objects.count() == 2
    minutes_later(monkeypatch, 1)
    count_refusal(one)
    list(seal_events())
    found = AuditEvent.objects.order_by("pk")
    assert [(e.kind, bytes(e.address_hash or b""), e.count) for e in found] == [
        ("refused", b"\1" * 16, 3),
        ("refused", b"\2" * 16, 1),
    ]
    assert RefusalCount.objects.count() == 1
    assert positions() == [1, 2]


def test_a_flood_from_many_addresses_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_CLIENTS", 10)
    minutes_later(monkeypatch, 0)
    for number in range(50):
        count_refusal(Actor(address_hash=bytes([number]) * 16))
    assert RefusalCount.objects.count() == 11
    minutes_later(monkeypatch, 1)
    list(seal_events())
    assert sum(AuditEvent.objects.values_list("count", flat=True)) == 50
    assert AuditEvent.objects.get(address_hash=None).count == 40
