"""Beat as a thread of the worker, so that one process does the work of both (`worker --with-beat`).

Celery's own `worker -B` forks a second process of the same size.
"""

import logging
import threading
from typing import Any

from celery import Celery, bootsteps
from celery.beat import Service
from celery.platforms import EX_FAILURE
from celery.worker import state

#: Seconds between two checks of the schedule; a worker that shuts down waits for one.
CHECK_INTERVAL = 0.25
#: Maximum seconds of that wait, in case beat itself is waiting for the broker.
STOP_TIMEOUT = 2.0

logger = logging.getLogger(__name__)


class BeatThread(threading.Thread):
    """Sends the tasks that are due. If it ends by itself, the worker ends too, to be restarted."""

    def __init__(self, app: Celery) -> None:
        super().__init__(name="beat", daemon=True)
        self._service = Service(
            app,
            max_interval=CHECK_INTERVAL,  # type: ignore[arg-type]  # it may be a float
            scheduler_cls=app.conf.beat_scheduler,
        )
        self._stopping = False

    def run(self) -> None:
        """Run the schedule until `stop`."""
        try:
            self._service.start()
        except Exception:
            logger.exception("beat failed")
        finally:
            if not self._stopping:
                logger.error("beat ended, so the worker ends")
                setattr(state, "should_stop", EX_FAILURE)  # noqa: B010  # typed as None alone

    def stop(self) -> None:
        """Save the schedule and end."""
        self._stopping = True
        self._service.stop()
        self.join(STOP_TIMEOUT)


class BeatBesideWorker(bootsteps.StartStopStep):
    """Starts and stops the thread with the worker, where `--with-beat` asks for it."""

    def __init__(self, worker: Any, with_beat: bool = False, **options: Any) -> None:
        super().__init__(worker, **options)
        self.enabled = with_beat

    def include_if(self, worker: Any) -> bool:
        """Return whether to run the thread."""
        return self.enabled

    def create(self, worker: Any) -> BeatThread:  # type: ignore[override]
        """Return the thread."""
        return BeatThread(worker.app)
