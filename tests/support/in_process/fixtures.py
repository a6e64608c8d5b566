"""Fixtures of tests in process: keys of their own, limits out of the way, backends that fail.

A folder's conftest imports those that its tests ask for.
"""

import secrets
import time
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from audit_app.actors import Actor
from fugata_core import addresses
from fugata_site.middleware import client
from tests.support.in_process.doubles import FaultyKeys, MemoryStore, backend
from tests.support.in_process.keys import use_keys
from vault_app.backends import reset_backends

hypothesis.settings.register_profile(
    "fugata",
    deadline=None,
    max_examples=60,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
hypothesis.settings.load_profile("fugata")

ADDRESS = b"0123456789abcdef"


@pytest.fixture(autouse=True)
def ours(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A keyring and a head of the test's own; limits, and what was guessed, out of the way."""
    use_keys(settings, "test:" + "A" * 43 + "=")
    head = tmp_path_factory.getbasetemp() / f"head-{secrets.token_hex(8)}"
    settings.AUDIT_HEAD = settings.AUDIT_HEAD | {"OPTIONS": {"path": head}}
    settings.RATE_LIMIT_RPM = settings.RATE_LIMIT_BURST = 1_000_000
    settings.TOKEN_RATE_LIMIT_RPM = settings.TOKEN_RATE_LIMIT_BURST = 1_000_000
    cache.clear()
    yield
    reset_backends()


@pytest.fixture
def actor() -> Actor:
    """The sender of a request."""
    return Actor(address_hash=ADDRESS, request_id="request-1", bucket="somebody")


@pytest.fixture
def remote_store(settings: Settings) -> MemoryStore:
    """Values outside the database, and what becomes of them."""
    store = MemoryStore()
    settings.VALUE_STORE = backend(store)
    return store


@pytest.fixture
def faulty_keys(settings: Settings) -> FaultyKeys:
    """A key provider that can be made to fail."""
    keys = FaultyKeys()
    settings.KMS_PROVIDER = backend(keys)
    return keys


@pytest.fixture
def frozen_guesses(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock by which guesses are counted; returns what moves it on by seconds."""
    now = [time.time()]

    def move(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("django_ratelimit.core.time.time", lambda: now[0])
    return move


@pytest.fixture
def frozen_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock by which refusals and lookups are counted: a minute's turn makes two rows."""
    now = time.time()
    monkeypatch.setattr("audit_app.minute_counts.time.time", lambda: now)


class Clock:
    """A clock that moves when it is told to, in place of a module's `time`."""

    def __init__(self) -> None:
        self.unix, self.steady = 1_700_000_000.0, 1000.0

    def time(self) -> float:
        return self.unix

    def monotonic(self) -> float:
        return self.steady

    def sleep(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.unix += seconds
        self.steady += seconds


@pytest.fixture
def clock() -> Clock:
    """A clock at 1,700,000,000."""
    return Clock()


@pytest.fixture(autouse=True)
def addresses_forgotten() -> Iterator[None]:
    """What is known of addresses depends on TRUSTED_PROXIES, which tests change."""
    addresses.is_trusted.cache_clear()
    client.client_keys.cache_clear()
    client.is_network_allowed.cache_clear()
    yield
    addresses.is_trusted.cache_clear()
    client.client_keys.cache_clear()
    client.is_network_allowed.cache_clear()


@pytest.fixture(autouse=True)
def nothing_is_being_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore need not wait for deletions that began before."""
    monkeypatch.setattr("vault_app.deletion_hold.SETTLE", 0)
