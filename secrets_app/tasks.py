"""What Celery runs."""

import logging
import time
from itertools import takewhile

from django.conf import settings

from fugata_core.tasks import shared_task
from secrets_app import statistics
from secrets_app.actions.purge import purge_expired as purge
from secrets_app.audit.prune import ChainBroken, prune_events
from secrets_app.audit.publish import publish
from secrets_app.audit.seal import AuditKeyChanged, seal_events
from secrets_app.idempotency import purge_kept_answers

#: Seconds after which a run leaves the rest to the next one (beat starts one every minute).
BUDGET = 50.0
#: The same for sealing, which shares its worker.
SEAL_BUDGET = 20.0

logger = logging.getLogger(__name__)


@shared_task
def purge_expired() -> int:
    """Purge expired shares; returns how many."""
    purge_kept_answers()
    deadline, purged = time.monotonic() + BUDGET, 0
    for count in purge():
        purged += count
        if time.monotonic() > deadline:
            break
    statistics.beat("purge_expired")
    return purged


@shared_task
def seal_audit_events() -> None:
    """Seal the trail, and publish its head where that has moved."""
    deadline = time.monotonic() + SEAL_BUDGET
    try:
        heads = list(takewhile(lambda _: time.monotonic() < deadline, seal_events()))
    except AuditKeyChanged as error:
        logger.error("the audit trail is not sealed: %s", error)
        return
    if heads:
        publish(heads[-1])


@shared_task
def prune_audit_events() -> int:
    """Delete what is older than AUDIT_RETENTION; returns how many events."""
    if settings.AUDIT_RETENTION is None:
        return 0
    try:
        return prune_events(settings.AUDIT_RETENTION)
    except ChainBroken as error:
        logger.error("the audit trail is not pruned: %s", error)
        return 0


@shared_task
def count_hours() -> int:
    """Count what happened in the hours gone by; returns how many hours."""
    counted = statistics.count_hours()
    statistics.beat("count_hours")
    return counted
