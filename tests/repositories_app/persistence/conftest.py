"""The register, in each implementation that the database in use can run."""

import pytest
from django.db import connection

from repositories_app.persistence import Registry
from repositories_app.persistence.portable import PortableRegistry
from repositories_app.persistence.postgresql import PostgresqlRegistry

REGISTRIES: list[type[Registry]] = [PortableRegistry]
if connection.vendor == "postgresql":
    REGISTRIES.append(PostgresqlRegistry)


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Registry:
    """The implementation under test."""
    made: Registry = request.param()
    return made
