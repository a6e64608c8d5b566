"""The sharing app."""

from django.apps import AppConfig


class SecretsAppConfig(AppConfig):
    name = "secrets_app"
    verbose_name = "Sharing"

    def ready(self) -> None:
        """Register shares' values for reconciliation."""
        from secrets_app.actions.reconcile import values_in_use
        from vault_app import reconcile

        reconcile.register("shares", values_in_use)
