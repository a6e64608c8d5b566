"""gunicorn's settings, of processes that list what they loaded: `gunicorn -c python:…`."""

import sys
from typing import Any

from django.conf import settings

from fugata_site.gunicorn_conf import *  # noqa: F403


def pre_fork(server: Any, worker: Any) -> None:
    """Write the list of what a worker shares."""
    (settings.FUGATA_HOME / "shared").write_text("\n".join(sys.modules))


def worker_exit(server: Any, worker: Any) -> None:
    """Write the list when the worker ends."""
    (settings.FUGATA_HOME / "modules").write_text("\n".join(sys.modules))
