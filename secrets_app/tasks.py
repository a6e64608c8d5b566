"""What Celery runs."""

import logging
import time

from celery import shared_task

from secrets_app.actions.purge import purge_expired as purge
from secrets_app.vault.errors import StoreUnavailable
from secrets_app.vault.reconcile import reconcile_all

#: Seconds after which a run leaves the rest to the next one (beat starts one every minute).
BUDGET = 50.0

logger = logging.getLogger(__name__)


@shared_task
def purge_expired() -> int:
    """Purge expired shares; returns how many."""
    deadline, purged = time.monotonic() + BUDGET, 0
    for count in purge():
        purged += count
        if time.monotonic() > deadline:
            break
    return purged


@shared_task
def reconcile_values() -> int:
    """Delete values that nothing points to, of all apps; returns how many."""
    deleted = 0
    try:
        for app, report in reconcile_all():
            deleted += report.deleted
            if report.refused:
                logger.error(
                    "reconciliation of %s stopped: nothing points to %d of %d values, which is"
                    " more than a tenth; manage.py reconcile_values --force deletes them",
                    app,
                    report.orphans,
                    report.values,
                )
    except StoreUnavailable as error:
        logger.warning("reconciliation broke off: %s", error)
    return deleted
