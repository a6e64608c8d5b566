"""The tables, in each implementation that the database in use can run."""

import pytest
from django.db import connection

from repositories_app.persistence import AccessTable, SecretTable
from repositories_app.persistence.portable import PortableAccessTable, PortableSecretTable
from repositories_app.persistence.postgresql import PostgresqlAccessTable, PostgresqlSecretTable

ACCESS_TABLES: list[type[AccessTable]] = [PortableAccessTable]
SECRET_TABLES: list[type[SecretTable]] = [PortableSecretTable]
if connection.vendor == "postgresql":
    ACCESS_TABLES.append(PostgresqlAccessTable)
    SECRET_TABLES.append(PostgresqlSecretTable)


@pytest.fixture(params=ACCESS_TABLES)
def access(request: pytest.FixtureRequest) -> AccessTable:
    """The implementation under test."""
    made: AccessTable = request.param()
    return made


@pytest.fixture(params=SECRET_TABLES)
def secrets(request: pytest.FixtureRequest) -> SecretTable:
    """The implementation under test."""
    made: SecretTable = request.param()
    return made
