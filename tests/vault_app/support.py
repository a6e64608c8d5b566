"""A keyring file for tests, and keys to put into it."""

import base64
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.support.in_process.keys import use_keyring
from vault_app import keycheck
from vault_app.backends import reset_backends
from vault_app.keys import local
from vault_app.models import KeyEncryptionKey

A, B, C = (base64.b64encode(bytes([byte]) * 32).decode() for byte in b"ABC")
DATA_KEY = b"d" * 32


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
