"""The contract of the table of shares: each effect with its event, or neither."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from secrets_app.models import Share
from secrets_app.persistence import ShareTable, share_table
from secrets_app.persistence.portable import PortableShareTable
from secrets_app.persistence.postgresql import PostgresqlShareTable
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
    wanted = PostgresqlShareTable if connection.vendor == "postgresql" else PortableShareTable
    assert type(share_table()) is wanted


def test_insert_writes_row_value_and_event(table: ShareTable, actor: Actor) -> None:
    share = new_share()
    table.insert(share, b"sealed", actor)
    assert counts() == (1, 1, 1)
    row, event = Share.objects.get(), AuditEvent.objects.get()
    for name in ("digest", "deletion_digest", "wrapped_key"):
        assert bytes(getattr(row, name)) == getattr(share, name)
    for name in ("key_id", "value_name", "size", "label", "one_time", "expires_at"):
        assert getattr(row, name) == getattr(share, name)
    assert (event.kind, bytes(event.share_digest or b"")) == ("created", bytes(share.digest))
    assert (bytes(event.address_hash or b""), event.request_id) == (
        actor.address_hash,
        actor.request_id,
    )
    now = datetime.now(UTC)
    assert all(now - timedelta(minutes=5) < at <= now for at in (row.created_at, event.at))


def test_insert_without_a_value(table: ShareTable) -> None:
    share = put(table, sealed=None)
    assert counts() == (1, 0, 1)
    loaded = table.load(bytes(share.digest))
    assert loaded is not None
    assert loaded[1] is None


def test_an_event_that_fails_takes_the_insert_with_it(table: ShareTable) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        table.insert(new_share(), b"sealed", UNWRITABLE)
    assert counts() == (0, 0, 0)


def test_a_second_share_of_the_same_digest(table: ShareTable) -> None:
    share = put(table)
    with pytest.raises(IntegrityError), transaction.atomic():
        table.insert(new_share(digest=share.digest), b"other", SERVICE)
    assert counts() == (1, 1, 1)


def test_load(table: ShareTable) -> None:
    """The row as the ORM reads it, so that no field of a share can be left out."""
    put(table)
    row = Share.objects.get()
    loaded = table.load(bytes(row.digest))
    assert loaded is not None
    share, sealed = loaded
    assert (share, sealed) == (row, b"sealed")
    assert isinstance(sealed, bytes)
    for field in Share._meta.concrete_fields:
        found, wanted = getattr(share, field.attname), getattr(row, field.attname)
        assert found == wanted, field.attname
    assert kinds(bytes(row.digest)) == ["created"]


def test_load_only_what_is_live(table: ShareTable) -> None:
    expired = put(table, -1)
    put(table)
    assert table.load(bytes(expired.digest)) is None
    assert table.load(b"unknown".ljust(32)) is None


def test_remove_once_with_its_event(table: ShareTable, actor: Actor) -> None:
    share, other = put(table), put(table)
    assert table.remove(bytes(share.digest), OPENED, actor)
    assert not table.remove(bytes(share.digest), OPENED, actor)
    assert counts() == (1, 1, 3)
    assert kinds(bytes(share.digest)) == ["created", "opened"]
    event = AuditEvent.objects.latest("pk")
    assert bytes(event.address_hash or b"") == actor.address_hash
    assert event.request_id == actor.request_id
    assert table.load(bytes(share.digest)) is None
    assert table.load(bytes(other.digest)) is not None


def test_remove_where_the_value_is_elsewhere(table: ShareTable) -> None:
    share = put(table, sealed=None)
    assert table.remove(bytes(share.digest), DELETED, SERVICE)
    assert kinds(bytes(share.digest)) == ["created", "deleted"]
    assert Share.objects.count() == 0


def test_an_event_that_fails_takes_the_removal_with_it(table: ShareTable) -> None:
    share = put(table)
    with pytest.raises(DatabaseError), transaction.atomic():
        table.remove(bytes(share.digest), OPENED, UNWRITABLE)
    assert counts() == (1, 1, 1)
    assert table.remove(bytes(share.digest), OPENED, SERVICE)


@pytest.mark.parametrize("seconds", [-1, -3600])
def test_an_expired_share_can_t_be_removed(table: ShareTable, seconds: int) -> None:
    share = put(table, seconds)
    assert not table.remove(bytes(share.digest), OPENED, SERVICE)
    assert counts() == (1, 1, 1)


def test_nothing_to_remove(table: ShareTable) -> None:
    assert not table.remove(b"unknown".ljust(32), DELETED, SERVICE)
    assert counts() == (0, 0, 0)


def test_note_opening(table: ShareTable, actor: Actor) -> None:
    share = put(table)
    assert table.record_opening(bytes(share.digest), actor)
    assert table.record_opening(bytes(share.digest), actor)
    assert counts() == (1, 1, 3)
    assert kinds(bytes(share.digest)) == ["created", "opened", "opened"]


def test_note_opening_of_what_is_not_live(table: ShareTable) -> None:
    expired, removed = put(table, -1), put(table)
    table.remove(bytes(removed.digest), DELETED, SERVICE)
    for digest in (bytes(expired.digest), bytes(removed.digest), b"unknown".ljust(32)):
        assert not table.record_opening(digest, SERVICE)
    assert AuditEvent.objects.filter(kind=OPENED).count() == 0


def test_an_opening_that_can_t_be_noted_raises(table: ShareTable) -> None:
    share = put(table)
    with pytest.raises(DatabaseError), transaction.atomic():
        table.record_opening(bytes(share.digest), UNWRITABLE)


def test_purge_is_bounded_and_takes_the_oldest(table: ShareTable) -> None:
    expired = [put(table, -seconds) for seconds in (10, 50, 30, 20, 40)]
    live = [put(table) for _ in range(2)]
    oldest = {expired[1].value_name, expired[4].value_name}
    assert set(table.purge(2)) == oldest
    assert counts() == (5, 5, 9)
    assert len(table.purge(100)) == 3
    assert table.purge(100) == []
    assert {bytes(digest) for digest in Share.objects.values_list("digest", flat=True)} == {
        bytes(share.digest) for share in live
    }
    assert set(StoredValue.objects.values_list("name", flat=True)) == {s.value_name for s in live}


def test_purge_says_so_in_the_trail(table: ShareTable) -> None:
    share = put(table, -1)
    live = put(table)
    table.purge(10)
    assert kinds(bytes(share.digest)) == ["created", "expired"]
    assert kinds(bytes(live.digest)) == ["created"]
    event = AuditEvent.objects.get(kind="expired")
    assert event.address_hash is None


def test_purge_names_values_that_are_elsewhere(table: ShareTable) -> None:
    share = put(table, -1, sealed=None)
    assert table.purge(10) == [share.value_name]


def test_an_event_that_fails_takes_the_purge_with_it(
    table: ShareTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(table, -1)
    monkeypatch.setattr(f"{type(table).__module__}.SERVICE", UNWRITABLE)
    with pytest.raises(DatabaseError), transaction.atomic():
        table.purge(10)
    assert counts() == (1, 1, 1)


def test_purge_of_nothing(table: ShareTable) -> None:
    put(table)
    assert table.purge(10) == []
    assert counts() == (1, 1, 1)
