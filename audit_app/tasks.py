"""The worker's tasks on the trail."""

import logging
import time
from contextlib import closing

from django.conf import settings

from audit_app.errors import ChainBroken, HeadUnavailable, NotSealed
from audit_app.prune import prune_events
from audit_app.publish import publish
from audit_app.seal import seal_events
from fugata_core.tasks import shared_task

#: Seconds after which a run leaves the rest to the next one.
SEAL_BUDGET = 20.0

logger = logging.getLogger(__name__)


@shared_task
def seal_audit_events() -> None:
    """Seal the trail, for SEAL_BUDGET seconds at most, and publish its head if it has moved."""
    deadline = time.monotonic() + SEAL_BUDGET
    newest = None
    try:
        with closing(seal_events()) as sealing:
            for head in sealing:
                newest = head
                if time.monotonic() >= deadline:
                    break
    except NotSealed as error:
        logger.error("the audit trail is not sealed: %s", error)
        raise  # it counts as failed; Celery logs no more than its name (Task.throws)
    except HeadUnavailable as error:
        logger.error("the audit trail's head is not kept; nothing is sealed until it is: %s", error)
        raise
    finally:
        if newest:
            publish(newest)


@shared_task
def prune_audit_events() -> int:
    """Delete events older than AUDIT_RETENTION; return how many."""
    if settings.AUDIT_RETENTION is None:
        return 0
    try:
        return prune_events(settings.AUDIT_RETENTION)
    except (ChainBroken, HeadUnavailable) as error:
        logger.error("the audit trail is not pruned: %s", error)
        raise
