"""What operators do to shares: revoke them, and purge at once. Each is an event in their name."""

import pytest
from django.db import DatabaseError

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from fugata_core.errors import RowLocked
from secrets_app.actions import purge
from secrets_app.actions.delete import Revocation, revoke_shares
from secrets_app.actions.purge import purge_now
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import ShareNotFound
from secrets_app.models import Share
from secrets_app.persistence import share_table
from tests.secrets_app.support import expire, kinds, row_of, share
from tests.support.in_process.doubles import MemoryStore
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db

OLGA = Actor(username="olga", request_id="request-1")


@pytest.mark.usefixtures("database_store")
def test_revoked_shares_are_gone_with_their_values() -> None:
    shares = [share(), share(one_time=False)]
    other = share("other")
    rows = [row_of(created) for created in shares]
    assert revoke_shares([row.pk for row in rows], OLGA) == Revocation(2, 0, 0)
    for created, row in zip(shares, rows, strict=True):
        with pytest.raises(ShareNotFound):
            reveal_share(created.share_id, SERVICE)
        assert kinds(bytes(row.digest)) == ["created", "deleted"]
        event = AuditEvent.objects.get(kind="deleted", share_digest=row.digest)
        assert (event.username, event.request_id) == ("olga", "request-1")
    assert StoredValue.objects.count() == 1
    assert reveal_share(other.share_id, SERVICE).content == b"other"


def test_revoking_twice_or_what_expired_counts_nothing() -> None:
    once, expired = row_of(share()), share()
    expire(expired)
    assert revoke_shares([once.pk], OLGA) == Revocation(1, 0, 0)
    assert revoke_shares([once.pk, row_of(expired).pk, 999], OLGA) == Revocation(0, 0, 0)
    assert AuditEvent.objects.filter(kind="deleted").count() == 1


def test_a_locked_share_does_not_keep_others_from_being_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a few locked ones the rest is left, for each is waited for."""
    rows = [row_of(share()) for _ in range(6)]
    locked = [bytes(row.digest) for row in (rows[0], rows[2], rows[3])]
    table = share_table()
    remove = table.remove

    def remove_unless_locked(digest: bytes, kind: AuditEvent.Kind, actor: Actor) -> bool:
        if digest in locked:
            raise RowLocked()
        return remove(digest, kind, actor)

    monkeypatch.setattr(table, "remove", remove_unless_locked)
    assert revoke_shares([row.pk for row in rows[:3]], OLGA) == Revocation(1, 2, 0)
    assert revoke_shares([row.pk for row in rows], OLGA) == Revocation(0, 5, 0)
    locked.clear()
    assert revoke_shares([row.pk for row in rows], OLGA) == Revocation(5, 0, 0)


def test_a_share_that_is_opened_meanwhile_is_not_among_those_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    created, opened = share(), share()
    rows = [row_of(created), row_of(opened)]
    table = share_table()
    remove = table.remove

    def remove_too_late(digest: bytes, kind: AuditEvent.Kind, actor: Actor) -> bool:
        monkeypatch.undo()
        reveal_share(opened.share_id, SERVICE)
        return remove(digest, kind, actor)

    monkeypatch.setattr(table, "remove", remove_too_late)
    assert revoke_shares([row.pk for row in rows], OLGA) == Revocation(1, 0, 0)


def test_a_remote_value_goes_after_its_row(remote_store: MemoryStore) -> None:
    row = row_of(share())
    assert row.value_name in remote_store.values
    assert revoke_shares([row.pk], OLGA) == Revocation(1, 0, 0)
    assert remote_store.values == {}


def test_a_store_that_fails_is_waited_for_once(remote_store: MemoryStore) -> None:
    rows = [row_of(share()) for _ in range(4)]
    remote_store.failing = {"delete"}
    remote_store.calls.clear()
    assert revoke_shares([row.pk for row in rows], OLGA) == Revocation(4, 0, values_left=4)
    assert remote_store.calls == ["delete"]
    assert Share.objects.count() == 0


def test_purge_now_says_who_asked() -> None:
    for _ in range(3):
        expire(share())
    share()
    assert purge_now(OLGA, seconds=10) == 3
    asked = AuditEvent.objects.get(kind="purged")
    assert asked.username == "olga"
    assert Share.objects.count() == 1
    assert set(AuditEvent.objects.filter(kind="expired").values_list("username", flat=True)) == {""}


def test_purge_now_stops_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        expire(share())
    monkeypatch.setattr(purge.purge_expired, "__defaults__", (1,))
    assert purge_now(OLGA, seconds=-1) == 1
    assert Share.objects.expired().count() == 2


@pytest.mark.django_db(transaction=True)
def test_no_revocation_without_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of(share())
    with pytest.raises(DatabaseError):
        revoke_shares([row.pk], Actor(username="olga", request_id=None))  # type: ignore[arg-type]
    assert Share.objects.filter(pk=row.pk).exists()
