"""The table of shares through the ORM, for SQLite and others: multi-statement transactions."""

from collections.abc import Iterable

from django.db import transaction

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from audit_app.trail import new_event, record
from secrets_app.models import Share
from secrets_app.persistence.base import ShareTable
from vault_app.models import StoredValue

#: The most bytes of content that one batch of a purge deletes, unless one share alone has more.
BYTES = 32 * 2**20


class PortableShareTable(ShareTable):
    """On SQLite every transaction is IMMEDIATE, so there is only one writer at a time."""

    def insert(self, share: Share, sealed: bytes | None, actor: Actor) -> None:
        with transaction.atomic():
            if sealed is not None:
                StoredValue.objects.create(name=share.value_name, sealed=sealed)
            share.save(force_insert=True)
            record(AuditEvent.Kind.CREATED, actor, share_digest=share.digest)

    def load(self, digest: bytes) -> tuple[Share, bytes | None] | None:
        share = Share.objects.live().filter(digest=digest).first()
        if share is None:
            return None
        values = StoredValue.objects.values_list("sealed", flat=True)
        sealed = values.filter(name=share.value_name).first()
        return share, None if sealed is None else bytes(sealed)

    def remove(self, digest: bytes, kind: AuditEvent.Kind, actor: Actor) -> bool:
        with transaction.atomic():
            share = Share.objects.live().select_for_update().filter(digest=digest).first()
            if share is None or not Share.objects.filter(pk=share.pk).delete()[0]:
                return False
            StoredValue.objects.filter(name=share.value_name).delete()
            record(kind, actor, share_digest=digest)
            return True

    def record_opening(self, digest: bytes, actor: Actor) -> bool:
        with transaction.atomic():
            if not Share.objects.live().filter(digest=digest).exists():
                return False
            record(AuditEvent.Kind.OPENED, actor, share_digest=digest)
            return True

    def purge(self, limit: int) -> list[str]:
        with transaction.atomic():
            batch = Share.objects.expired().order_by("expires_at")[:limit]
            locked = batch.select_for_update(skip_locked=True)
            shares = _within_budget(locked.only("digest", "value_name", "size"))
            names = [share.value_name for share in shares]
            StoredValue.objects.filter(name__in=names).delete()
            Share.objects.filter(pk__in=[share.pk for share in shares]).delete()
            AuditEvent.objects.bulk_create(
                new_event(AuditEvent.Kind.EXPIRED, SERVICE, share_digest=bytes(share.digest))
                for share in shares
            )
        return names


def _within_budget(shares: Iterable[Share]) -> list[Share]:
    """Return the first shares, up to `BYTES` in total: SQLite overwrites what it deletes."""
    taken: list[Share] = []
    room = BYTES
    for share in shares:
        if taken and share.size > room:
            break
        taken.append(share)
        room -= share.size
    return taken
