"""Key services: a Vault and an AWS KMS to ask over HTTP."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.support.in_process.fixtures import ours, remote_store
from tests.support.servers.kms import KmsServer
from tests.support.servers.transit import TransitServer

__all__ = ["ours", "remote_store"]

#: What only PostgreSQL can show.
collect_ignore = (
    []
    if connection.vendor == "postgresql"
    else ["test_rotation_postgresql.py", "test_slow_postgresql.py"]
)


@pytest.fixture(autouse=True)
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is found on this machine is not asked for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def transit() -> Iterator[TransitServer]:
    """A Vault with the keys `one` and `two`."""
    with TransitServer("one", "two") as server:
        yield server


@pytest.fixture(scope="session")
def kms() -> Iterator[KmsServer]:
    """An AWS KMS for the whole run."""
    server = KmsServer()
    yield server
    server.close()
