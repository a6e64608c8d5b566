"""The processes of the service on one machine. `python -m fugata_server.processes` is their parent.

`manage.py serve` becomes that parent when all is prepared. It loads neither Django nor the
settings, which would take ten times its memory.
"""

import logging
import os
import signal
import sys
from typing import NoReturn

from fugata_core import logs
from fugata_server.supervisor import STOP_SIGNALS, Child, supervise

#: Set for children: the settings are consistent, the database is migrated, the keys are right.
PREPARED = "FUGATA_PREPARED"

WEB = [sys.executable, "-m", "gunicorn", "-c", "python:fugata_site.gunicorn_conf"]
WEB += ["fugata_site.wsgi:application"]
WORKER = [sys.executable, "-m", "celery", "--app", "fugata_site", "--quiet", "worker"]
WORKER += ["--pool=solo", "--loglevel=WARNING"]
WORKER += ["--without-gossip", "--without-mingle", "--without-heartbeat"]


def children() -> list[Child]:
    """Return what to run: the web processes, without which there is no service, and the worker."""
    return [Child("web", WEB, essential=True), Child("worker", [*WORKER, "--with-beat"])]


def become_parent(grace: float, log_format: str) -> NoReturn:
    """Replace this process with the parent; children get `grace` seconds to shut down.

    A signal that arrives meanwhile stays pending until the parent can handle it.
    """
    os.environ[PREPARED] = "1"
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    arguments = ["-m", "fugata_server.processes", str(grace), log_format]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  # ourselves


def main(grace: str, log_format: str) -> int:
    """Run the children; return the exit status."""
    console = logging.StreamHandler()
    console.setFormatter(logs.formatter(log_format))
    logging.basicConfig(level=logging.INFO, handlers=[console])
    return supervise(children(), float(grace))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
