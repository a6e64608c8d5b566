"""The site as a Django app: it brings the commands `prepare` and `serve` and the checks."""

from django.apps import AppConfig


class FugataSiteConfig(AppConfig):
    name = "fugata_site"

    def ready(self) -> None:
        """Register the system checks and watch the connections."""
        from fugata_site import checks, connections, production  # noqa: F401

        connections.watch()
