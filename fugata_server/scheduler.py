"""Beat's schedule: its last runs in a file of JSON, and what could not be sent in one line."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery import beat

from fugata_server import last_runs
from fugata_server.broker import connected

logger = logging.getLogger(__name__)


class Scheduler(beat.Scheduler):
    """Celery's, which remembers when it sent each task: no restart puts an hourly one off.

    Celery's own persistent one keeps pickles. A stack and a traceback for each task that the queue
    does not take are left out as well.
    """

    def __init__(self, *args: Any, schedule_filename: str, **options: Any) -> None:
        self._file = Path(schedule_filename)
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        """Take the schedule of the settings, with the last runs of the file."""
        super().setup_schedule()
        now = time.time()
        for name, at in last_runs.read(self._file).items():
            if at <= now and (entry := self.schedule.get(name)):
                entry.last_run_at = datetime.fromtimestamp(at, UTC)
        last_runs.forget_pickles(self._file)
        self.sync()

    def sync(self) -> None:
        """Write the last runs; Celery calls this every few minutes, and at the end."""
        entries = self.schedule.items()
        runs = {name: at.timestamp() for name, entry in entries if (at := entry.last_run_at)}
        try:
            last_runs.write(self._file, runs)
        except OSError as error:
            logger.error("beat's last runs were not saved: %s", type(error).__name__)

    def apply_entry(self, entry: beat.ScheduleEntry, producer: Any = None) -> None:
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
