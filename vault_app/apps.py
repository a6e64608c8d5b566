"""The vault as a Django app: its tables hold sealed values and key check values."""

from django.apps import AppConfig


class VaultAppConfig(AppConfig):
    name = "vault_app"
    verbose_name = "Keys"

    def ready(self) -> None:
        """Register the system checks."""
        from vault_app import checks  # noqa: F401
