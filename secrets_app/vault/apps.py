"""The vault as a Django app: its tables hold sealed values and key check values."""

from django.apps import AppConfig


class VaultConfig(AppConfig):
    name = "secrets_app.vault"
    label = "vault"
    verbose_name = "Keys"

    def ready(self) -> None:
        """Register the system checks."""
        from secrets_app.vault import checks  # noqa: F401
