"""Outside any transaction of a test's own: what fails half-way leaves nothing behind."""

from typing import cast

import pytest
from django.db import DatabaseError

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from secrets_app.models import Share
from secrets_app.persistence import ShareTable
from tests.secrets_app.support import new_share
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db(transaction=True)

UNWRITABLE = Actor(request_id=cast(str, None))


def left() -> tuple[int, int, int]:
    return Share.objects.count(), StoredValue.objects.count(), AuditEvent.objects.count()


def test_a_failing_insert(table: ShareTable) -> None:
    with pytest.raises(DatabaseError):
        table.insert(new_share(), b"sealed", UNWRITABLE)
    assert left() == (0, 0, 0)


def test_a_failing_removal(table: ShareTable) -> None:
    share = new_share()
    table.insert(share, b"sealed", SERVICE)
    with pytest.raises(DatabaseError):
        table.remove(bytes(share.digest), AuditEvent.Kind.OPENED, UNWRITABLE)
    assert left() == (1, 1, 1)
    assert table.load(bytes(share.digest)) is not None


def test_a_failing_purge(table: ShareTable, monkeypatch: pytest.MonkeyPatch) -> None:
    table.insert(new_share(-1), b"sealed", SERVICE)
    monkeypatch.setattr(f"{type(table).__module__}.SERVICE", UNWRITABLE)
    with pytest.raises(DatabaseError):
        table.purge(10)
    assert left() == (1, 1, 1)
