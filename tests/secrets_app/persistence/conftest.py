"""The table, in each implementation that the database in use can run."""

import pytest
from django.db import connection

from secrets_app.persistence import ShareTable
from secrets_app.persistence.portable import PortableShareTable
from secrets_app.persistence.postgresql import PostgresqlShareTable

TABLES: list[type[ShareTable]] = [PortableShareTable]
if connection.vendor == "postgresql":
    TABLES.append(PostgresqlShareTable)

collect_ignore = [] if connection.vendor == "postgresql" else ["test_skip_locked.py"]


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest) -> ShareTable:
    """The implementation under test."""
    made: ShareTable = request.param()
    return made
