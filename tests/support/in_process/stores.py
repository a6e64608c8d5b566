"""The Kubernetes store as a test wants it, in settings and in hand."""

from django.conf import settings as configured
from pytest_django.fixtures import Settings

from vault_app.stores.kubernetes import KubernetesStore


def set_options(settings: Settings, **options: object) -> None:
    """Give the configured store other options."""
    store = settings.VALUE_STORE
    settings.VALUE_STORE = store | {"OPTIONS": store["OPTIONS"] | options}


def kubernetes_store(app: str = "shares") -> KubernetesStore:
    """Return a store of that app's values, as the settings have it."""
    return KubernetesStore(app, **configured.VALUE_STORE["OPTIONS"])
