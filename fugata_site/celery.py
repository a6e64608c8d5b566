"""Celery's application: the worker and beat take all else from the settings (CELERY_…)."""

import os
import sys
from functools import cached_property
from types import FrameType

from celery import Celery, platforms
from celery.apps import beat
from celery.signals import beat_init, celeryd_init

from fugata_site.heartbeat import Heartbeat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fugata_site.settings")


class Beat(beat.Beat):
    """Beat that ends wherever a signal finds it.

    Celery saves the schedule inside the signal handler, which fails with a stack trace in a beat
    that is still starting. The schedule is saved at the end of the loop anyway.
    """

    def install_sync_handler(self, service: object) -> None:
        """Let SIGTERM and SIGINT end the process."""
        platforms.signals.update(SIGTERM=_end, SIGINT=_end)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit()


class Fugata(Celery):
    """Celery with our beat."""

    @cached_property
    def Beat(self) -> type[Beat]:  # noqa: N802  # Celery's name
        """The class that `celery beat` runs."""
        return self.subclass_with_self(Beat)


app = Fugata("fugata")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["secrets_app"])
app.steps["consumer"].add(Heartbeat)


@celeryd_init.connect
@beat_init.connect
def refuse_unsafe_settings(**_: object) -> None:
    """End the worker or beat where the settings do not fit together, as the web processes do.

    Celery's own Django fix-up runs the checks too, and ignores what they say.
    """
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        call_command("check")
    except SystemCheckError as error:
        sys.exit(str(error))
