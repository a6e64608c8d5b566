"""The worker's tasks on values and keys."""

import logging
from contextlib import suppress

from kombu.exceptions import OperationalError

from fugata_core.tasks import shared_task
from vault_app import rewrap
from vault_app.errors import KeyUnavailable, StoreUnavailable
from vault_app.reconcile import DOUBTED, FOREIGN_STORE, reconcile_all

#: Seconds after which a run leaves the rest to the next one; a purge may have to wait for it.
REWRAP_BUDGET = 20.0
#: The same for the deletion of each app's values.
RECONCILE_BUDGET = 10.0

logger = logging.getLogger(__name__)


@shared_task
def reconcile_values() -> int:
    """Delete leftovers and orphans of all apps; return how many.

    If it deleted some and there are more, another run is sent for, behind what waits already.
    """
    deleted, goes_on = 0, False
    try:
        for app, report in reconcile_all(seconds=RECONCILE_BUDGET):
            deleted += report.deleted + report.leftovers
            goes_on |= report.goes_on
            if report.refused:
                logger.error(
                    "reconciliation of %s stopped: nothing points to %d of %d values, which is"
                    " more than a tenth; manage.py reconcile_values --force deletes them",
                    app,
                    report.orphans,
                    report.values,
                )
            if report.doubted:
                logger.error("reconciliation of %s stopped: %s", app, DOUBTED)
            if report.foreign:
                logger.error(
                    "the value store has no value of %s, though rows need some. %s",
                    app,
                    FOREIGN_STORE,
                )
    except StoreUnavailable as error:
        logger.warning("reconciliation broke off: %s", error)
    if goes_on:
        with suppress(OperationalError):  # of the queue: beat sends it within the hour
            reconcile_values.delay()
    return deleted


@shared_task
def rewrap_keys() -> int:
    """Re-wrap data keys if that was requested; return how many.

    The next run does what this one leaves for lack of time or of a key.
    """
    try:
        return rewrap.run_requested(REWRAP_BUDGET)
    except KeyUnavailable as error:
        logger.error("data keys could not be re-wrapped: %s", error)
        return 0
