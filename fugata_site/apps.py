"""The site as a Django app: it brings the commands `prepare` and `serve` and the checks."""

import logging
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class FugataSiteConfig(AppConfig):
    name = "fugata_site"

    def ready(self) -> None:
        """Register the system checks, watch the connections, let no warning pass the log by."""
        from django.conf import settings

        from fugata_core import connections
        from fugata_site import checks, production  # noqa: F401

        connections.watch()
        if settings.LOG_FORMAT == "json":
            logging.captureWarnings(True)


class FugataAdminConfig(SimpleAdminConfig):
    """Django's admin, on our site: apps register with `django.contrib.admin` as everywhere.

    They do it when the admin is first asked for (console/urls.py) or checked: most processes never
    need what is registered.
    """

    default_site = "fugata_site.console.site.FugataAdminSite"

    def ready(self) -> None:
        """Have the checks run that Django's own configuration of the admin has."""
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_admin, checks.Tags.admin)


def check_admin(app_configs: Sequence[AppConfig] | None, **more: Any) -> list[checks.CheckMessage]:
    """Check all that is registered with the admin, as Django does."""
    autodiscover()
    found: list[checks.CheckMessage] = check_admin_app(app_configs, **more)
    return found
