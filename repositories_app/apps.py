"""The repositories app."""

from django.apps import AppConfig


class RepositoriesAppConfig(AppConfig):
    name = "repositories_app"
    verbose_name = "Repositories"

    def ready(self) -> None:
        """Register repositories' values for reconciliation."""
        from repositories_app.actions.reconcile import values_in_use
        from vault_app import reconcile

        reconcile.register("repositories", values_in_use)
