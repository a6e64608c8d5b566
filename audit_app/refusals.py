"""Refusals without a valid token: counted per client and minute, so a flood can't fill the disk."""

from django.db import connection

from audit_app.actors import Actor
from audit_app.minute_counts import convert_past, this_minute
from audit_app.models import AuditEvent, RefusalCount
from fugata_core.limits import ROW
from fugata_core.row_locks import KeyedBulkhead, row_place

#: Clients that are counted separately per minute; the others are counted together.
MAX_CLIENTS = 10_000
_OTHERS = b"others"
_ROWS = KeyedBulkhead(ROW)

_COUNT = """
INSERT INTO audit_app_refusalcount (address_hash, minute, count) VALUES (%s, %s, 1)
ON CONFLICT (address_hash, minute)
DO UPDATE SET count = audit_app_refusalcount.count + 1
"""


def count_refusal(actor: Actor) -> None:
    """Count one refusal of `actor`, in this minute. Raises RowLocked."""
    minute = this_minute()
    row = (_counted_as(actor.address_hash or b"", minute), minute)
    with row_place(_ROWS, row), connection.cursor() as cursor:
        cursor.execute(_COUNT, row)


def _counted_as(address_hash: bytes, minute: int) -> bytes:
    counted = RefusalCount.objects.filter(minute=minute)
    known = counted.filter(address_hash=address_hash)
    if counted.count() < MAX_CLIENTS or known.exists():
        return address_hash
    return _OTHERS


def convert_refusals_to_events() -> int:
    """Turn each count of a past minute into one event; return how many."""
    return convert_past(RefusalCount.objects.all(), _event)


def _event(refusals: RefusalCount) -> AuditEvent:
    address = bytes(refusals.address_hash)
    return AuditEvent(
        kind=AuditEvent.Kind.REFUSED,
        address_hash=None if address in (b"", _OTHERS) else address,
        count=refusals.count,
        request_id="",
    )
