"""Beat's schedule, which says in one line what could not be sent to the queue."""

import logging
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry

from fugata_server.broker import connected

logger = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):
    """Celery's, without a stack and a traceback for each task that the queue does not take."""

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send a task that is due. If that fails, the next one is sent when it is due."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # whatever a transport raises
            logger.error("%s was not sent to the worker: %s", entry.name, _kinds(error))

    def _ensure_connected(self) -> Any:
        return connected(self.connection)


def _kinds(error: Exception) -> str:
    """Return the kinds of what is beneath Celery's SchedulingError: kombu's, and Redis's."""
    failed = error.__context__ or error
    kinds = [type(each).__name__ for each in (failed, failed.__cause__) if each]
    return ", ".join(kinds)
