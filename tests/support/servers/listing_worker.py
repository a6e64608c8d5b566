"""For `celery worker --include`: the worker does everything once, and lists what it loaded."""

import sys
from typing import Any

from celery import signals
from django.conf import settings
from django.utils.module_loading import import_string


@signals.worker_shutdown.connect
def run_all_and_list(**_: Any) -> None:
    """Run each task, and write the list, when the worker ends."""
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        import_string(entry["task"]).apply(throw=True)
    (settings.FUGATA_HOME / "modules").write_text("\n".join(sys.modules))
