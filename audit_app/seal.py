"""Sealing: one sealer at a time gives committed events their positions and extends the chain."""

import logging
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from audit_app import chain
from audit_app.actors import SERVICE, Actor
from audit_app.chain import Head
from audit_app.errors import AuditKeyChanged, NotSealed, TrailWentBack
from audit_app.heads import head_store
from audit_app.heads.base import HeadStore
from audit_app.lookups import convert_lookups_to_events
from audit_app.models import AuditEvent
from audit_app.odd_rows import odd_rows_named
from audit_app.refusals import convert_refusals_to_events
from audit_app.trail import record

#: Events that one transaction seals.
BATCH = 1000
#: How long events may wait for another sealer.
PATIENCE = timedelta(minutes=10)
# Key for pg_advisory_xact_lock; nothing else that uses the database may lock it.
_LOCK = 0x_F06A7A_5EA1

logger = logging.getLogger(__name__)


def seal_events() -> Generator[Head, None, None]:
    """Seal what is committed, yielding the head of each batch. The last one is kept at the end.

    Close it, if it is not run to its end. Counts of past refusals and lookups become events before.
    Nothing is sealed while another sealer is running, or what was sealed before can't be kept.
    Raises NotSealed, HeadUnavailable.
    """
    with odd_rows_named():
        yield from _seal_all()


def _seal_all() -> Generator[Head, None, None]:
    convert_refusals_to_events()
    convert_lookups_to_events()
    heads = head_store()
    kept = known = keep_up(heads)
    try:
        while (batch := _seal_batch(known, heads.where)) is not None:
            known, count = batch
            if not count:
                break
            yield known
    finally:  # once for all: it waits for a disk, or the API server
        if known != kept:
            heads.keep(known)


def keep_up(heads: HeadStore) -> Head:
    """Keep the head of what is sealed, and return it: a sealer may have ended before it could.

    If there is something to seal, it is kept once more: while no head can be kept, what was sealed
    could be unsealed and sealed anew. Raises NotSealed, HeadUnavailable.
    """
    head = chain.head()  # before what is kept: another sealer keeps one before it seals
    kept = heads.read()
    with transaction.atomic():
        _require_continuation(kept, head, heads.where)
        if kept is None and head.position:
            _say_unkept(head, heads.where)
        waiting = AuditEvent.objects.filter(position=None).exists()
    if waiting or kept != head:
        heads.keep(head)
    return head


def _seal_batch(known: Head, where: str) -> tuple[Head, int] | None:
    """Return the head, and how many events were sealed; None if another sealer is running.

    `known`: the last head that was kept, or sealed since.
    """
    with transaction.atomic():  # on SQLite IMMEDIATE: there is one writer at a time
        if not _try_lock():
            _require_patience()
            return None
        before = chain.head()
        _require_continuation(known, before, where)
        events = list(AuditEvent.objects.filter(position=None).order_by("pk")[:BATCH])
        return (_extend(before, events) if events else before), len(events)


def _say_unkept(head: Head, where: str) -> None:
    """Say, in the trail too, that the head there is taken as it is: none was kept to compare."""
    logger.error("%s had no head: the trail goes on from %s unchecked", where, head)
    record_reset(SERVICE, f"none to {head}")


def record_reset(actor: Actor, subject: str) -> None:
    """Write the event of a reset, once: it is tried again until the head can be kept."""
    kind = AuditEvent.Kind.HEAD_RESET
    if not AuditEvent.objects.filter(position=None, kind=kind, subject=subject).exists():
        record(kind, actor, subject=subject)


def _require_patience() -> None:
    """Raise NotSealed if events have waited for long while another session has the lock."""
    first = AuditEvent.objects.filter(position=None).order_by("pk").first()
    if first is not None and datetime.now(UTC) - first.at > PATIENCE:
        raise NotSealed(
            f"events have waited since {first.at:%Y-%m-%d %H:%M}, and another session of the"
            " database has the sealer's lock (pg_locks, locktype advisory). If that is no worker,"
            " end it."
        )


def _try_lock() -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _require_continuation(kept: Head | None, head: Head, where: str) -> None:
    """Raise TrailWentBack unless the trail goes on from the head that was kept, AuditKeyChanged.

    Who writes to the database could otherwise have what is sealed signed anew, without an event.
    """
    if kept is not None and not chain.goes_on_from(kept):
        raise TrailWentBack(
            f"position {kept.position} was sealed, as {where} says, and the trail in the database,"
            f" which ends at position {head.position}, is not the one with that. Events were"
            " removed or changed, or an older database was put back. Nothing is sealed. If you"
            " restored a back-up, run manage.py audit reset-head (docs/operating.md)."
        )
    require_same_key(head)


def require_same_key(head: Head) -> None:
    """Raise AuditKeyChanged unless the last event's HMAC fits: a chain keeps its first key."""
    last = AuditEvent.objects.filter(position=head.position).first()
    if last is None:
        return
    before = AuditEvent.objects.filter(position=head.position - 1).values_list("mac", flat=True)
    mac = bytes(before.first() or b"") or chain.head_of_stubs().mac
    if chain.advance(Head(head.position - 1, mac), last) is None:
        raise AuditKeyChanged(
            f"AUDIT_KEY is not the one that sealed position {head.position}, or that event was"
            " changed, or the one before it changed or removed. Nothing is sealed until that is"
            " mended; manage.py audit verify tells more."
        )


def _next_mac(before: bytes, position: int, event: AuditEvent) -> bytes:
    try:
        return chain.next_mac(before, position, event)
    except chain.ODD:
        raise NotSealed(
            f"Fugata did not write the event with the id {event.pk}. Look at it, and delete it."
        ) from None


def _extend(before: Head, events: Sequence[AuditEvent]) -> Head:
    position, mac, rows = before.position, before.mac, []
    for event in events:
        position += 1
        mac = _next_mac(mac, position, event)
        rows.append((position, mac, event.pk))
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE audit_app_auditevent SET position = %s, mac = %s WHERE id = %s", rows
        )
    return Head(position, mac)
