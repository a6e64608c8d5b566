"""Lookups: counted by token, client, repository and minute, each count one event."""

import time

import pytest

from audit_app.actors import Actor
from audit_app.lookups import count_lookup
from audit_app.models import AuditEvent, LookupCount
from audit_app.seal import seal_events
from audit_app.verify import verify

pytestmark = pytest.mark.django_db

ALICE = Actor(address_hash=b"1" * 16, request_id="r", username="alice", token="fgt_abcdef")
ELSEWHERE = Actor(address_hash=b"2" * 16, request_id="r", username="alice", token="fgt_abcdef")


def minutes_later(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    at = time.time() + 60 * minutes
    monkeypatch.setattr("audit_app.minute_counts.time.time", lambda: at)


def test_one_event_for_each_token_client_repository_and_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    minutes_later(monkeypatch, 0)
    for actor, name in ((ALICE, "a"), (ALICE, "a"), (ALICE, "b"), (ELSEWHERE, "a"), (ALICE, "a")):
        count_lookup(actor, name)
    assert not AuditEvent.objects.exists()
    minutes_later(monkeypatch, 1)
    count_lookup(ALICE, "a")
    list(seal_events())
    events = AuditEvent.objects.order_by("pk")
    assert [(e.kind, e.username, e.token, e.repository, e.count) for e in events] == [
        ("looked up", "alice", "fgt_abcdef", "a", 3),
        ("looked up", "alice", "fgt_abcdef", "b", 1),
        ("looked up", "alice", "fgt_abcdef", "a", 1),
    ]
    assert [bytes(event.address_hash or b"")[:1] for event in events] == [b"1", b"1", b"2"]
    assert LookupCount.objects.count() == 1
    assert verify().verified == 3
