"""The folder in which the processes of one service keep what they count (prometheus-client's
multiprocess mode), so that any of them can answer for all.

prometheus-client looks for it when it is first imported, so nothing here imports it.
"""

import os
import shutil

from django.conf import settings

#: Set for children: the folder is made, and a parent sees that it is served.
_FOLDER_VARIABLE = "FUGATA_METRICS_FOLDER"


def claim(role: str) -> bool:
    """Make an empty folder for this process and its children, unless a parent has made one.

    Returns whether it was made here: then this process has to serve METRICS_PORT.
    """
    if not settings.METRICS or os.environ.get(_FOLDER_VARIABLE):
        return False
    folder = settings.METRICS_FOLDER / role
    shutil.rmtree(folder, ignore_errors=True)
    settings.METRICS_FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(mode=0o700)
    os.environ[_FOLDER_VARIABLE] = os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    return True


def current() -> str | None:
    """Return the folder, or None if this process counts only for itself."""
    return os.environ.get(_FOLDER_VARIABLE)


def drop_process(pid: int) -> None:
    """Drop the live gauges of a process that ended; what it counted stays."""
    if current():
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
