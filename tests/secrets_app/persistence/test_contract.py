"""The contract of the register: each effect with its audit event, or neither."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from secrets_app.models import Share
from secrets_app.persistence import Registry, registry
from secrets_app.persistence.portable import PortableRegistry
from secrets_app.persistence.postgresql import PostgresqlRegistry
from tests.secrets_app.support import kinds, new_share, put
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db

DELETED, OPENED = AuditEvent.Kind.DELETED, AuditEvent.Kind.OPENED
#: Its events can't be written: request_id may not be null.
UNWRITABLE = Actor(request_id=cast(str, None))


def counts() -> tuple[int, int, int]:
    """Shares, values, events."""
    return Share.objects.count(), StoredValue.objects.count(), AuditEvent.objects.count()


def test_the_database_in_use_has_its_own() -> None:
    wanted = PostgresqlRegistry if connection.vendor == "postgresql" else PortableRegistry
    assert type(registry()) is wanted


def test_insert_writes_row_value_and_event(registry: Registry, actor: Actor) -> None:
    share = new_share()
    registry.insert(share, b"sealed", actor)
    assert counts() == (1, 1, 1)
    row, event = Share.objects.get(), AuditEvent.objects.get()
    for name in ("digest", "deletion_digest", "wrapped_key"):
        assert bytes(getattr(row, name)) == getattr(share, name)
    for name in ("key_id", "value_name", "size", "label", "one_time", "expires_at"):
        assert getattr(row, name) == getattr(share, name)
    assert (event.kind, bytes(event.share_digest or b"")) == ("created", share.digest)
    assert (bytes(event.address_hash or b""), event.request_id) == (
        actor.address_hash,
        actor.request_id,
    )
    now = datetime.now(UTC)
    assert all(now - timedelta(minutes=5) < at <= now for at in (row.created_at, event.at))


def test_insert_without_a_value(registry: Registry) -> None:
    share = put(registry, sealed=None)
    assert counts() == (1, 0, 1)
    loaded = registry.load(share.digest)
    assert loaded is not None
    assert loaded.sealed is None


def test_an_event_that_fails_takes_the_insert_with_it(registry: Registry) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        registry.insert(new_share(), b"sealed", UNWRITABLE)
    assert counts() == (0, 0, 0)


def test_a_second_share_of_the_same_digest(registry: Registry) -> None:
    share = put(registry)
    with pytest.raises(IntegrityError), transaction.atomic():
        registry.insert(replace(new_share(), digest=share.digest), b"other", SERVICE)
    assert counts() == (1, 1, 1)


def test_load(registry: Registry) -> None:
    share = put(registry)
    loaded = registry.load(share.digest)
    assert loaded is not None
    for name in ("wrapped_key", "value_name", "label", "one_time", "expires_at"):
        assert getattr(loaded, name) == getattr(share, name)
    assert loaded.sealed == b"sealed"
    assert isinstance(loaded.sealed, bytes)
    assert isinstance(loaded.wrapped_key, bytes)
    assert kinds(share.digest) == ["created"]


def test_load_only_what_is_live(registry: Registry) -> None:
    expired = put(registry, -1)
    put(registry)
    assert registry.load(expired.digest) is None
    assert registry.load(b"unknown".ljust(32)) is None


def test_remove_once_with_its_event(registry: Registry, actor: Actor) -> None:
    share, other = put(registry), put(registry)
    assert registry.remove(share.digest, OPENED, actor)
    assert not registry.remove(share.digest, OPENED, actor)
    assert counts() == (1, 1, 3)
    assert kinds(share.digest) == ["created", "opened"]
    event = AuditEvent.objects.latest("pk")
    assert bytes(event.address_hash or b"") == actor.address_hash
    assert event.request_id == actor.request_id
    assert registry.load(share.digest) is None
    assert registry.load(other.digest) is not None


def test_remove_where_the_value_is_elsewhere(registry: Registry) -> None:
    share = put(registry, sealed=None)
    assert registry.remove(share.digest, DELETED, SERVICE)
    assert kinds(share.digest) == ["created", "deleted"]
    assert Share.objects.count() == 0


def test_an_event_that_fails_takes_the_removal_with_it(registry: Registry) -> None:
    share = put(registry)
    with pytest.raises(DatabaseError), transaction.atomic():
        registry.remove(share.digest, OPENED, UNWRITABLE)
    assert counts() == (1, 1, 1)
    assert registry.remove(share.digest, OPENED, SERVICE)


@pytest.mark.parametrize("seconds", [-1, -3600])
def test_an_expired_share_can_t_be_removed(registry: Registry, seconds: int) -> None:
    share = put(registry, seconds)
    assert not registry.remove(share.digest, OPENED, SERVICE)
    assert counts() == (1, 1, 1)


def test_nothing_to_remove(registry: Registry) -> None:
    assert not registry.remove(b"unknown".ljust(32), DELETED, SERVICE)
    assert counts() == (0, 0, 0)


def test_note_opening(registry: Registry, actor: Actor) -> None:
    share = put(registry)
    assert registry.note_opening(share.digest, actor)
    assert registry.note_opening(share.digest, actor)
    assert counts() == (1, 1, 3)
    assert kinds(share.digest) == ["created", "opened", "opened"]


def test_note_opening_of_what_is_not_live(registry: Registry) -> None:
    expired, removed = put(registry, -1), put(registry)
    registry.remove(removed.digest, DELETED, SERVICE)
    for digest in (expired.digest, removed.digest, b"unknown".ljust(32)):
        assert not registry.note_opening(digest, SERVICE)
    assert AuditEvent.objects.filter(kind=OPENED).count() == 0


def test_an_opening_that_can_t_be_noted_raises(registry: Registry) -> None:
    share = put(registry)
    with pytest.raises(DatabaseError), transaction.atomic():
        registry.note_opening(share.digest, UNWRITABLE)


def test_purge_is_bounded_and_takes_the_oldest(registry: Registry) -> None:
    expired = [put(registry, -seconds) for seconds in (10, 50, 30, 20, 40)]
    live = [put(registry) for _ in range(2)]
    oldest = {expired[1].value_name, expired[4].value_name}
    assert set(registry.purge(2)) == oldest
    assert counts() == (5, 5, 9)
    assert len(registry.purge(100)) == 3
    assert registry.purge(100) == []
    assert {bytes(digest) for digest in Share.objects.values_list("digest", flat=True)} == {
        share.digest for share in live
    }
    assert set(StoredValue.objects.values_list("name", flat=True)) == {s.value_name for s in live}


def test_purge_says_so_in_the_trail(registry: Registry) -> None:
    share = put(registry, -1)
    live = put(registry)
    registry.purge(10)
    assert kinds(share.digest) == ["created", "expired"]
    assert kinds(live.digest) == ["created"]
    event = AuditEvent.objects.get(kind="expired")
    assert event.address_hash is None


def test_purge_names_values_that_are_elsewhere(registry: Registry) -> None:
    share = put(registry, -1, sealed=None)
    assert registry.purge(10) == [share.value_name]


def test_an_event_that_fails_takes_the_purge_with_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(registry, -1)
    monkeypatch.setattr(f"{type(registry).__module__}.SERVICE", UNWRITABLE)
    with pytest.raises(DatabaseError), transaction.atomic():
        registry.purge(10)
    assert counts() == (1, 1, 1)


def test_purge_of_nothing(registry: Registry) -> None:
    put(registry)
    assert registry.purge(10) == []
    assert counts() == (1, 1, 1)
