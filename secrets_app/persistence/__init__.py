"""The table of shares for the database in use: single statements on PostgreSQL, else the ORM.

One contract test suite covers both.
"""

from functools import cache

from django.db import connection

from secrets_app.persistence.base import ShareTable
from secrets_app.persistence.portable import PortableShareTable
from secrets_app.persistence.postgresql import PostgresqlShareTable

__all__ = ["ShareTable", "share_table"]


@cache
def share_table() -> ShareTable:
    """Return the table for the database that the settings name."""
    return PostgresqlShareTable() if connection.vendor == "postgresql" else PortableShareTable()
