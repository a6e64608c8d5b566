"""The register of shares: every effect and its audit event, in one transaction.

`registry()` gives the implementation for the database in use: one statement on PostgreSQL, a
transaction of several anywhere else. One contract suite runs over both.
"""

from functools import cache

from django.db import connection

from secrets_app.persistence.base import LoadedShare, NewShare, Registry
from secrets_app.persistence.portable import PortableRegistry
from secrets_app.persistence.postgresql import PostgresqlRegistry

__all__ = ["LoadedShare", "NewShare", "Registry", "registry"]


@cache
def registry() -> Registry:
    """Return the register for the database that the settings name."""
    return PostgresqlRegistry() if connection.vendor == "postgresql" else PortableRegistry()
