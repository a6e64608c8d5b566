"""The repositories app."""

from django.apps import AppConfig


class RepositoriesAppConfig(AppConfig):
    name = "repositories_app"
    verbose_name = "Repositories"
