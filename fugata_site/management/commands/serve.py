"""`manage.py serve`: the whole service on one machine, under one parent."""

import io
import logging
import os
import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import connections

from fugata_core.addresses import authority
from fugata_core.checks import START
from fugata_server.processes import become_parent
from operations_app.metrics import folder
from repositories_app.models import Repository

logger = logging.getLogger(__name__)

_NO_REPOSITORY = """\
To keep a repository's secrets, make it and a token for it, in another terminal and with the same
settings: {python} manage.py create_repository my-repo --owner me --token"""


class Command(BaseCommand):
    help = "Prepare, then run gunicorn and a Celery worker with beat until Ctrl-C or SIGTERM."
    requires_system_checks = [START]

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --wait."""
        parser.add_argument(
            "--wait",
            type=int,
            default=0,
            metavar="SECONDS",
            help="wait so long for the database and the key service",
        )

    def handle(self, *args: Any, wait: int = 0, **options: Any) -> None:
        os.umask(0o077)  # for all that the children write
        self._prepare(wait)
        _check_port_is_free()
        folder.claim("all")  # for the children; the web processes serve the metrics of all
        # Large blocks are returned to the system when they are freed, even after many of them.
        os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**20))
        address = settings.PUBLIC_URL or f"http://{_displayed()}"
        self._say(f"Fugata is starting on {address} (Ctrl-C ends it)")
        if not Repository.objects.exists():
            self._say(_NO_REPOSITORY.format(python=os.path.relpath(sys.executable)))
        connections.close_all()
        # A little more than gunicorn gives requests.
        become_parent(settings.GRACEFUL_TIMEOUT + 2.0, settings.LOG_FORMAT)

    def _prepare(self, wait: int) -> None:
        message = io.StringIO()
        call_command("prepare", wait=wait, stdout=message)
        for line in message.getvalue().splitlines():
            self._say(line)

    def _say(self, text: str) -> None:
        """Write a line to stdout, or to the log if LOG_FORMAT is json."""
        if settings.LOG_FORMAT == "json":
            logger.info("%s", text)
            return
        self.stdout.write(text)
        self.stdout.flush()


def _check_port_is_free() -> None:
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"PORT: {authority(settings.HOST, settings.PORT)} can't be listened on"
                f" ({error.strerror}, maybe in use). Set another PORT or HOST."
            ) from None


def _displayed() -> str:
    """Return where a browser on this machine finds the service."""
    is_local = settings.HOST in ("127.0.0.1", "0.0.0.0", "::")  # noqa: S104
    return authority("localhost" if is_local else settings.HOST, settings.PORT)
