"""Fugata's settings with a beat that fails when it is told to (DJANGO_SETTINGS_MODULE)."""

import os
from typing import Any

from fugata_server.scheduler import Scheduler
from fugata_site.settings import *  # noqa: F403
from fugata_site.settings import FUGATA_HOME

CELERY_BEAT_SCHEDULER = "tests.support.faults.failing_beat:FailingScheduler"
#: Beat fails once this file is there, which it takes away.
FAIL = "beat-is-to-fail"


class FailingScheduler(Scheduler):
    """Names its process in a file each time that it has looked at the schedule."""

    def tick(self, *args: Any, **options: Any) -> float:
        """Fail where that is asked for."""
        if (FUGATA_HOME / FAIL).exists():
            (FUGATA_HOME / FAIL).unlink()
            raise RuntimeError("told to fail")
        seconds = super().tick(*args, **options)
        (FUGATA_HOME / "ticked").write_text(str(os.getpid()))
        return seconds
