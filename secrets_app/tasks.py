"""The Celery tasks of the sharing app."""

from fugata_core.tasks import shared_task
from secrets_app.actions.purge import purge_for
from secrets_app.idempotency import purge_answers

#: Seconds after which a run leaves the rest to the next one (beat starts one every minute).
BUDGET = 50.0


@shared_task
def purge_expired() -> int:
    """Purge expired shares and kept answers; return how many shares were purged."""
    purge_answers()
    return purge_for(BUDGET)
