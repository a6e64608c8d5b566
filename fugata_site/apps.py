"""The site as a Django app: it brings the commands `prepare` and `serve` and the checks."""

import logging

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class FugataSiteConfig(AppConfig):
    name = "fugata_site"

    def ready(self) -> None:
        """Register the system checks, watch the connections, let no warning pass the log by."""
        from django.conf import settings

        from fugata_site import checks, connections, production  # noqa: F401

        connections.watch()
        if settings.LOG_FORMAT == "json":
            logging.captureWarnings(True)


class FugataAdminConfig(AdminConfig):
    """Django's admin, on our site: apps register with `django.contrib.admin` as everywhere."""

    default_site = "fugata_site.console.site.FugataAdminSite"
