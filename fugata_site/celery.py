"""Celery's application: the worker and beat get the rest from the settings (CELERY_…).

On one machine the worker runs beat in a thread (`worker --with-beat`, see beat.py).
"""

import io
import logging
import os
import sys
from functools import cached_property
from types import FrameType
from typing import Any

from celery import Celery, platforms, signals
from celery.app import task
from celery.apps import beat, worker
from click import Option
from django.conf import settings

from audit_app.errors import ChainBroken, HeadUnavailable, NotSealed
from fugata_core.database_failures import ANY_ERROR, clear_frames, kinds_of
from fugata_core.postgresql.base import limit_answers
from fugata_core.tracebacks import may_quote
from fugata_server.beat import BeatBesideWorker
from fugata_server.heartbeat_step import HeartbeatStep
from fugata_server.processes import PREPARED
from operations_app.metrics import folder
from vault_app.errors import KeyUnavailable, StoreUnavailable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fugata_site.settings")
# Celery's Django fix-up would load all URLs for the checks, and ignore their results.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

logger = logging.getLogger(__name__)


class Beat(beat.Beat):
    """Beat that ends at a signal whatever it is doing.

    Celery saves the schedule inside the signal handler, which fails with a stack trace in a beat
    that is still starting. The schedule is saved at the end of the loop anyway.
    """

    def install_sync_handler(self, service: object) -> None:
        """Let SIGTERM and SIGINT end the process."""
        platforms.signals.update(SIGTERM=_end, SIGINT=_end)


def _say(text: str, stream: object = None) -> None:
    logger.warning("%s", text.strip())


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit()


class DatabaseFailed(Exception):
    """The database failed a task. Its text is what may be logged, which Celery does."""


class Task(task.Task):  # type: ignore[type-arg]  # not generic at run time
    """A task. A backend or database that fails it is an expected error, logged in one line."""

    Strategy = "fugata_server.strategy:strict"
    throws = (
        *(DatabaseFailed, StoreUnavailable, KeyUnavailable),
        *(NotSealed, HeadUnavailable, ChainBroken),
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task. Raises DatabaseFailed instead of what quotes a database's message."""
        try:
            return self.run(*args, **kwargs)
        except Exception as error:
            if not may_quote(error):
                raise
            kinds = kinds_of(error)
            clear_frames(error)
            raise DatabaseFailed(kinds) from None


class Fugata(Celery):
    """Celery with our beat, and with metrics."""

    task_cls = "fugata_site.celery:Task"
    _serves_metrics = False

    @cached_property
    def Worker(self) -> type[worker.Worker]:  # noqa: N802  # Celery's name
        """The class that `celery worker` runs."""
        self._serves_metrics = folder.claim("worker")
        limit_answers(settings.WORKER_DATABASE_TIMEOUT)
        setattr(worker, "safe_say", _say)  # noqa: B010  # Celery's own bypasses the log
        return self.subclass_with_self(worker.Worker)

    @cached_property
    def Beat(self) -> type[Beat]:  # noqa: N802  # Celery's name
        """The class that `celery beat` runs."""
        return self.subclass_with_self(Beat)


app = Fugata("fugata")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["audit_app", "operations_app", "secrets_app", "vault_app"])
app.steps["consumer"].add(HeartbeatStep)
app.steps["worker"].add(BeatBesideWorker)
app.user_options["worker"].add(
    Option(["--with-beat"], is_flag=True, help="Run beat in a thread of this worker, the only one.")
)


@signals.worker_ready.connect
def serve_metrics(**_: Any) -> None:
    """Serve METRICS_PORT unless a web process beside this worker does."""
    from django.conf import settings

    if app._serves_metrics and settings.METRICS_PORT:
        from operations_app.metrics import listener

        listener.serve(listener.listen())


@signals.after_setup_task_logger.connect
def format_tasks_logs(logger: logging.Logger, **_: Any) -> None:
    """Format what tasks log like all other logs: redacted, in LOG_FORMAT."""
    from django.conf import settings

    from fugata_core import logs

    for handler in logger.handlers:
        handler.setFormatter(logs.formatter(settings.LOG_FORMAT))


@signals.task_success.connect
def count_success(sender: Any, **_: Any) -> None:
    """Count a task that succeeded, and record when."""
    from operations_app.metrics import definitions

    definitions.TASKS.labels(_short(sender.name), "done").inc()
    _record_success(_short(sender.name))


def _record_success(name: str) -> None:
    """Record it in the database for all to see; the task has succeeded even if that fails."""
    from operations_app import statistics

    try:
        statistics.record_success(name)
    except ANY_ERROR as error:
        logger.warning("that %s ended well was not noted: %s", name, kinds_of(error))


@signals.task_failure.connect
def count_failure(sender: Any, exception: BaseException, **_: Any) -> None:
    """Count a task that failed; log expected errors (Celery logs others with a traceback)."""
    from operations_app.metrics import definitions

    definitions.TASKS.labels(_short(sender.name), "failed").inc()
    if isinstance(exception, Task.throws):
        reason = exception if isinstance(exception, DatabaseFailed) else type(exception).__name__
        logger.error("%s failed: %s", _short(sender.name), reason)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


@signals.celeryd_init.connect
@signals.beat_init.connect
def refuse_unsafe_settings(**_: object) -> None:
    """End the worker or beat if the settings are inconsistent, as the web processes do."""
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    from fugata_core.checks import START

    if os.environ.get(PREPARED):
        return
    try:
        call_command("check", tags=[START], stdout=io.StringIO())
    except SystemCheckError as error:
        sys.exit(str(error))
