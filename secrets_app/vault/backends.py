"""The configured value store and key provider, by dotted path with options, one of each."""

from functools import cache
from typing import Any, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from secrets_app.vault import metrics
from secrets_app.vault.keys.base import KeyProvider
from secrets_app.vault.stores.base import ValueStore


def load(setting: str, **more: Any) -> Any:
    """Return a new backend as `setting` ({"BACKEND": dotted path, "OPTIONS": {…}}) names it."""
    configured = getattr(settings, setting)
    return import_string(configured["BACKEND"])(**configured["OPTIONS"], **more)


@cache
def value_store(app: str = "shares") -> ValueStore:
    """Return this process's value store for the values of `app`: shares, or repositories."""
    store = cast(ValueStore, load("VALUE_STORE", app=app))
    return metrics.observed(store, metrics.STORE, metrics.STORE_OPERATIONS)


@cache
def key_provider() -> KeyProvider:
    """Return this process's key provider."""
    provider = cast(KeyProvider, load("KMS_PROVIDER"))
    return metrics.observed(provider, metrics.KEYS, metrics.KEY_OPERATIONS)


def forget(**_: Any) -> None:
    """Load both anew at their next use (tests change settings)."""
    value_store.cache_clear()
    key_provider.cache_clear()


setting_changed.connect(forget)
