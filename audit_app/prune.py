"""Retention: delete old sealed events, leaving a stub from which the chain still verifies."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile

from django.db import transaction

from audit_app import chain
from audit_app.errors import ChainBroken, NotSealed
from audit_app.heads import head_store
from audit_app.models import AuditEvent, AuditStub
from audit_app.odd_rows import odd_rows_named
from audit_app.seal import keep_up

BATCH = 5000


def prune_events(retention: timedelta) -> int:
    """Delete the oldest sealed events while they are older than `retention`; return how many.

    Raises ChainBroken, HeadUnavailable; nothing of a batch that does not verify is deleted.
    """
    try:
        with odd_rows_named():
            keep_up(head_store())
            return _prune_all(retention)
    except NotSealed as error:
        raise ChainBroken(str(error)) from None


def _prune_all(retention: timedelta) -> int:
    pruned = 0
    while count := _prune_batch(retention):
        pruned += count
    return pruned


def _prune_batch(retention: timedelta) -> int:
    with transaction.atomic():
        sealed = AuditEvent.objects.filter(position__isnull=False).select_for_update()
        oldest = list(sealed.order_by("position")[:BATCH])
        # By this host's clock: who writes to the database may have it tell another time.
        old = datetime.now(UTC) - retention
        gone = list(takewhile(lambda event: event.at < old, oldest))
        _require_intact_chain(gone)
        if gone:
            _replace_by_stub(gone)
        return len(gone)


def _require_intact_chain(events: list[AuditEvent]) -> None:
    head: chain.Head | None = chain.head_of_stubs()
    for event in events:
        head = chain.advance(head, event) if head else None
        if head is None:
            raise ChainBroken(f"the chain is broken before position {event.position}.")


def _replace_by_stub(gone: list[AuditEvent]) -> None:
    last, newest = gone[-1], max(event.at for event in gone)
    through, mac = int(last.position or 0), bytes(last.mac or b"")
    AuditStub.objects.create(
        through=through,
        mac=mac,
        newest_at=newest,
        proof=chain.stub_proof(through, mac, newest),
    )
    AuditEvent.objects.filter(pk__in=[event.pk for event in gone]).delete()
