"""Fixtures of the console's tests: keys of their own, and limits out of the way."""

import pytest
from pytest_django.fixtures import Settings

from tests.secrets_app.conftest import faulty_keys, frozen_guesses, ours, remote_store

__all__ = ["faulty_keys", "frozen_guesses", "ours", "remote_store"]


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """Spend no second on each of a hundred attempts to sign in."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
