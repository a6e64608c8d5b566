"""The configured value store and key providers, by dotted path with options."""

import os
from functools import cache
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from vault_app import metrics
from vault_app.errors import KeyUnavailable
from vault_app.keys.base import KeyProvider
from vault_app.keys.router import KeyProviderRouter
from vault_app.stores.base import ValueStore


def load(setting: str, **more: Any) -> Any:
    """Return a new backend as `setting` ({"BACKEND": dotted path, "OPTIONS": {…}}) names it."""
    return _construct(getattr(settings, setting), **more)


def load_provider(name: str) -> KeyProvider | None:
    """Return a new key provider of that name, as KEY_PROVIDERS sets it up; None if not set up."""
    config = settings.KEY_PROVIDERS.get(name)
    return cast(KeyProvider, _construct(config)) if config else None


def _construct(config: dict[str, Any], **more: Any) -> Any:
    return import_string(config["BACKEND"])(**config["OPTIONS"], **more)


@cache
def value_store(app: str = "shares") -> ValueStore:
    """Return this process's value store for the values of `app`: shares, or repositories."""
    store = cast(ValueStore, load("VALUE_STORE", app=app))
    return metrics.instrument(store, metrics.STORE, metrics.STORE_OPERATIONS)


def remote_store(app: str = "shares") -> ValueStore | None:
    """Return the store of an app's values unless it is the database that has their rows.

    None: row and value are written and deleted in one transaction, without calling the store.
    """
    store = value_store(app)
    return None if store.transactional else store


@cache
def key_provider() -> KeyProviderRouter:
    """Return a router over this process's key providers: the chosen one wraps, all unwrap."""
    chosen = cast(KeyProvider, load("KMS_PROVIDER"))
    observed = metrics.instrument(chosen, metrics.KEYS, metrics.KEY_OPERATIONS)
    return KeyProviderRouter(observed, _other_provider)


def _other_provider(name: str) -> KeyProvider | None:
    """Return the provider. A wrong setting raises KeyUnavailable here (checks report it)."""
    try:
        return load_provider(name)
    except ImproperlyConfigured as error:
        raise KeyUnavailable(f"the key's provider can't be used: {error}") from None


def reset_backends(**_: Any) -> None:
    """Reload every backend on its next use (tests change settings)."""
    value_store.cache_clear()
    key_provider.cache_clear()


setting_changed.connect(reset_backends)
# A connection must not be shared with a forked process.
os.register_at_fork(after_in_child=reset_backends)
