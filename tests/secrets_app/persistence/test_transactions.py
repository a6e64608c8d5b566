"""Outside any transaction of a test's own: what fails half-way leaves nothing behind."""

from typing import cast

import pytest
from django.db import DatabaseError

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from secrets_app.models import Share
from secrets_app.persistence import Registry
from tests.secrets_app.support import new_share
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db(transaction=True)

UNWRITABLE = Actor(request_id=cast(str, None))


def left() -> tuple[int, int, int]:
    return Share.objects.count(), StoredValue.objects.count(), AuditEvent.objects.count()


def test_a_failing_insert(registry: Registry) -> None:
    with pytest.raises(DatabaseError):
        registry.insert(new_share(), b"sealed", UNWRITABLE)
    assert left() == (0, 0, 0)


def test_a_failing_removal(registry: Registry) -> None:
    share = new_share()
    registry.insert(share, b"sealed", SERVICE)
    with pytest.raises(DatabaseError):
        registry.remove(share.digest, AuditEvent.Kind.OPENED, UNWRITABLE)
    assert left() == (1, 1, 1)
    assert registry.load(share.digest) is not None


def test_a_failing_purge(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.insert(new_share(-1), b"sealed", SERVICE)
    monkeypatch.setattr(f"{type(registry).__module__}.SERVICE", UNWRITABLE)
    with pytest.raises(DatabaseError):
        registry.purge(10)
    assert left() == (1, 1, 1)
