"""The Celery tasks of the sharing app."""

import logging
import time

from fugata_core.tasks import shared_task
from secrets_app.actions.purge import purge_expired as purge
from secrets_app.idempotency import purge_answers

#: Seconds after which a run leaves the rest to the next one (beat starts one every minute).
BUDGET = 50.0

logger = logging.getLogger(__name__)


@shared_task
def purge_expired() -> int:
    """Purge expired shares and kept answers; return how many shares were purged."""
    purge_answers()
    deadline, purged = time.monotonic() + BUDGET, 0
    for count in purge():
        purged += count
        if time.monotonic() > deadline:
            break
    return purged
