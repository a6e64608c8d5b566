"""The operators' Django app, and Django's admin on our site."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class OperationsAppConfig(AppConfig):
    name = "operations_app"
    verbose_name = "Operations"


class FugataAdminConfig(SimpleAdminConfig):
    """Django's admin, on our site: apps register with `django.contrib.admin` as usual.

    They do so when the admin is first used (console/urls.py) or checked: most processes never need
    what is registered.
    """

    default_site = "operations_app.console.site.FugataAdminSite"

    def ready(self) -> None:
        """Register the checks that Django's own admin configuration registers."""
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_admin, checks.Tags.admin)


def check_admin(app_configs: Sequence[AppConfig] | None, **more: Any) -> list[checks.CheckMessage]:
    """Check everything registered with the admin, as Django does."""
    autodiscover()
    found: list[checks.CheckMessage] = check_admin_app(app_configs, **more)
    return found
