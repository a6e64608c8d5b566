"""Fixtures of the composition's tests."""

from collections.abc import Iterator

import pytest
from django.db import connection

from fugata_site.middleware import client

#: What only a database on the other end of a socket can show.
collect_ignore = [] if connection.vendor == "postgresql" else ["test_connections.py"]


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
    client.is_trusted.cache_clear()
    client.hashes.cache_clear()
    client.may_create.cache_clear()
    yield
    client.is_trusted.cache_clear()
    client.hashes.cache_clear()
    client.may_create.cache_clear()
