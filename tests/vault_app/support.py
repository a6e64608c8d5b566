"""A keyring file for tests, and keys to put into it."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from tests.support.in_process.keys import use_keyring
from tests.support.servers.vault import Vault
from vault_app import keycheck
from vault_app.backends import reset_backends
from vault_app.keys import local
from vault_app.models import KeyEncryptionKey

A, B, C = (base64.b64encode(bytes([byte]) * 32).decode() for byte in b"ABC")
DATA_KEY = b"d" * 32
#: Seconds after which a call with a short time certainly did not keep to it.
TOO_LONG = 8.0


@contextmanager
def ends_in_time() -> Iterator[None]:
    """Fail if the block takes so long that only a lack of a deadline explains it."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < TOO_LONG


def use_keyring_file(settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep one key, `old`, in a file that the database knows; look at it at each use."""
    path.write_text(f"old:{A}\n")
    use_keyring(settings, path)
    monkeypatch.setattr(local, "RELOAD_INTERVAL", 0.0)
    KeyEncryptionKey.objects.all().delete()
    keycheck.verify()


def as_a_new_process() -> None:
    """Load keys and settings anew, and check them as a start does."""
    reset_backends()
    keycheck.verify()


VAULT = "vault_app.keys.vault.VaultTransit"


def use_vault(settings: Settings, vault: Vault, **options: Any) -> None:
    """Have the key `one` of that Vault wrap, with a new token unless `options` say otherwise.

    The keyring stays beside it.
    """
    access = options.keys() & {"token", "token_file", "login"}
    if not access:
        options["token"] = vault.new_token(["one"])
    config = {"BACKEND": VAULT, "OPTIONS": {"keys": ["one"], "address": vault.url} | options}
    settings.KEY_PROVIDERS = {"local": settings.KEY_PROVIDERS["local"], "vault": config}
    settings.KMS_PROVIDER = config


def use_new_vault(settings: Settings, vault: Vault, **options: Any) -> None:
    """Have a database that knows no key, and seals under the new key `one` of that Vault."""
    vault.add_key("one")
    use_vault(settings, vault, **options)
    KeyEncryptionKey.objects.all().delete()
    keycheck.verify()


def run(*arguments: str) -> str:
    """Run a command, and return what it says."""
    said = StringIO()
    call_command(*arguments, stdout=said, stderr=StringIO())
    return said.getvalue()


def told(*arguments: str) -> dict[str, Any]:
    """Run with --json and return the one object that it says."""
    fields: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return fields
