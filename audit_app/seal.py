"""Sealing: one sealer at a time gives committed events their positions and extends the chain."""

import hmac
import logging
from collections.abc import Iterator, Sequence

from django.db import connection, transaction

from audit_app import chain
from audit_app.chain import Head
from audit_app.errors import AuditKeyChanged, TrailWentBack
from audit_app.heads import head_store
from audit_app.lookups import convert_lookups_to_events
from audit_app.models import AuditEvent
from audit_app.refusals import convert_refusals_to_events

#: Events that one transaction seals.
BATCH = 1000
# Key for pg_advisory_xact_lock; nothing else that uses the database may lock it.
_LOCK = 0x_F06A7A_5EA1

logger = logging.getLogger(__name__)


def seal_events() -> Iterator[Head]:
    """Seal what is committed, yielding the head of each batch, which is kept by then.

    Counts of past refusals and lookups become events before. Nothing is sealed while another
    sealer is running. Raises NotSealed, HeadUnavailable.
    """
    convert_refusals_to_events()
    convert_lookups_to_events()
    heads = head_store()
    while (sealed := _seal_batch(heads.read(), heads.where)) is not None:
        heads.keep(sealed)
        yield sealed


def _seal_batch(kept: Head | None, where: str) -> Head | None:
    with transaction.atomic():  # on SQLite IMMEDIATE: there is one writer at a time
        if not _try_lock():
            return None
        events = list(AuditEvent.objects.filter(position=None).order_by("pk")[:BATCH])
        if not events:
            return None
        before = chain.head()
        _require_no_step_back(kept, before, where)
        require_same_key(before)
        return _extend(before, events)


def _try_lock() -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _require_no_step_back(kept: Head | None, head: Head, where: str) -> None:
    """Raise TrailWentBack unless the trail goes on from the head that was kept.

    Who writes to the database could otherwise have what is sealed signed anew, without an event.
    """
    if kept is not None and not chain.goes_on_from(kept):
        raise TrailWentBack(
            f"position {kept.position} was sealed, as {where} says, and the trail in the database,"
            f" which ends at position {head.position}, is not the one with that. Events were"
            " removed or changed, or an older database was put back. Nothing is sealed. If you"
            " restored a back-up, run manage.py audit reset-head (docs/operating.md)."
        )


def require_same_key(head: Head) -> None:
    """Raise AuditKeyChanged unless the last event's HMAC fits: a chain keeps its first key."""
    last = AuditEvent.objects.filter(position=head.position).first()
    if last is None:
        return
    before = AuditEvent.objects.filter(position=head.position - 1).values_list("mac", flat=True)
    mac = bytes(before.first() or b"") or chain.head_of_stubs().mac
    if not hmac.compare_digest(chain.next_mac(mac, head.position, last), head.mac):
        raise AuditKeyChanged(
            f"AUDIT_KEY is not the one that sealed position {head.position}, or that event was"
            " changed. Nothing is sealed until the key is back; manage.py audit verify tells more."
        )


def _extend(before: Head, events: Sequence[AuditEvent]) -> Head:
    position, mac, rows = before.position, before.mac, []
    for event in events:
        position += 1
        mac = chain.next_mac(mac, position, event)
        rows.append((position, mac, event.pk))
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE audit_app_auditevent SET position = %s, mac = %s WHERE id = %s", rows
        )
    return Head(position, mac)
