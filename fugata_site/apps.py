"""The site as a Django app: it provides the commands `prepare` and `serve` and the checks."""

import logging
import sys

from django.apps import AppConfig


class FugataSiteConfig(AppConfig):
    name = "fugata_site"

    def ready(self) -> None:
        """Register the system checks, watch the connections, say safely what ends a process."""
        from django.conf import settings

        from fugata_core import connections, tracebacks
        from fugata_site import checks, file_checks, production_checks  # noqa: F401

        connections.check_on_each_request()
        sys.excepthook = tracebacks.show
        if settings.LOG_FORMAT == "json":
            logging.captureWarnings(True)
