"""The local keyring as a test wants it, in settings and in hand."""

from pathlib import Path

from django.conf import settings as configured
from pytest_django.fixtures import Settings

from vault_app.keys.local import LocalKeyring

LOCAL = "vault_app.keys.local.LocalKeyring"


def use_keys(settings: Settings, keys: str) -> None:
    """Have FUGATA_KEYS be `keys`."""
    _use(settings, keys, settings.KEYRING_FILE)


def use_keyring(settings: Settings, path: Path) -> None:
    """Have the keyring be the file at `path`, which need not be there."""
    _use(settings, "", path)


def _use(settings: Settings, keys: str, path: Path) -> None:
    local = {"BACKEND": LOCAL, "OPTIONS": {"keys": keys, "file": path}}
    settings.FUGATA_KEYS, settings.KEYRING_FILE = keys, path
    settings.KEY_PROVIDERS = settings.KEY_PROVIDERS | {"local": local}
    if settings.KMS_PROVIDER["BACKEND"] == LOCAL:
        settings.KMS_PROVIDER = local


def local_keyring() -> LocalKeyring:
    """Return the keyring that the settings name, as a new process would have it."""
    return LocalKeyring(**configured.KEY_PROVIDERS["local"]["OPTIONS"])
