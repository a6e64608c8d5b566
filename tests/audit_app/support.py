"""Trails to seal and to break."""

import secrets
from datetime import UTC, datetime, timedelta

from audit_app.chain import Head, head
from audit_app.models import AuditEvent
from audit_app.seal import seal_events


def events(count: int, age: timedelta = timedelta(0)) -> list[AuditEvent]:
    """Write events of many kinds, that old, and return them."""
    kinds = list(AuditEvent.Kind)
    made = [
        AuditEvent(
            kind=kinds[n % len(kinds)],
            share_digest=secrets.token_bytes(32) if n % 2 else None,
            repository="" if n % 2 else f"repo-{n}",
            secret_key="" if n % 2 else "KEY",
            username="" if n % 3 else "alice",
            token="" if n % 3 else "fgt_abcdef",
            address_hash=secrets.token_bytes(16) if n % 4 else None,
            request_id=f"request-{n}",
            count=1 + n % 3,
            at=datetime.now(UTC) - age,
        )
        for n in range(count)
    ]
    return AuditEvent.objects.bulk_create(made)


def sealed(count: int, age: timedelta = timedelta(0)) -> Head:
    """Write and seal events; returns the head."""
    events(count, age)
    list(seal_events())
    return head()


def at(position: int) -> AuditEvent:
    """Return the event at that position."""
    return AuditEvent.objects.get(position=position)


def edit(position: int, **columns: object) -> None:
    """Change an event past the service."""
    assert AuditEvent.objects.filter(position=position).update(**columns) == 1
