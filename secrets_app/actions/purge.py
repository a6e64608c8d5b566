"""Purge expired shares idempotently, in bounded batches: rows first, then values."""

import time
from collections.abc import Iterator

from django.db import transaction

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from secrets_app.metrics import SHARES
from secrets_app.models import Share
from secrets_app.persistence import share_table
from vault_app import leftovers
from vault_app.backends import remote_store
from vault_app.values import DELETE_ALL_TIMEOUT, delete_all_quietly

#: Rows of a batch. Each value in a remote store is a call of its own.
BATCH, REMOTE_BATCH = 1000, 50


def purge_expired(batch: int | None = None) -> Iterator[int]:
    """Delete expired shares until none is left, yielding the size of each batch.

    Values that a slow store has not deleted in time are left to reconciliation.
    An expired share is a 404 whether or not it has been purged; purges may run concurrently.
    """
    size = batch or (REMOTE_BATCH if remote_store(Share.values_of) else BATCH)
    while names := _purge_rows(size):
        SHARES.labels("expired").inc(len(names))
        delete_all_quietly(Share.values_of, names, DELETE_ALL_TIMEOUT, noted=True)
        yield len(names)


def _purge_rows(limit: int) -> list[str]:
    """Delete rows, and return the names of their values: noted, unless they went with the rows."""
    if remote_store(Share.values_of) is None:
        return share_table().purge(limit)
    with transaction.atomic():
        names = share_table().purge(limit)
        leftovers.note(Share.values_of, names)
    return names


def purge_now(actor: Actor, seconds: float) -> int:
    """Purge at an actor's request, for about `seconds`, and return how many were purged.

    The request is a separate audit event, written first because it causes the rest.
    """
    record(AuditEvent.Kind.PURGED, actor)
    return purge_for(seconds)


def purge_for(seconds: float) -> int:
    """Purge for about `seconds`, and return how many shares were purged."""
    deadline, purged = time.monotonic() + seconds, 0
    for count in purge_expired():
        purged += count
        if time.monotonic() > deadline:
            break
    return purged


def count_expired() -> int:
    """Return how many shares are waiting to be purged."""
    return Share.objects.expired().count()
