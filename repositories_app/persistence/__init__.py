"""What the database knows of tokens, members and secrets, by the database in use.

One statement each on PostgreSQL, the ORM elsewhere. One contract suite runs over both.
"""

from functools import cache

from django.db import connection

from repositories_app.persistence.base import (
    AccessTable,
    KnownToken,
    LoadedSecret,
    SecretRef,
    SecretTable,
)
from repositories_app.persistence.portable import PortableAccessTable, PortableSecretTable
from repositories_app.persistence.postgresql import PostgresqlAccessTable, PostgresqlSecretTable

__all__ = [
    "AccessTable",
    "KnownToken",
    "LoadedSecret",
    "SecretRef",
    "SecretTable",
    "access_table",
    "secret_table",
]


@cache
def access_table() -> AccessTable:
    """Return what answers for tokens and members, for the database that the settings name."""
    return PostgresqlAccessTable() if connection.vendor == "postgresql" else PortableAccessTable()


@cache
def secret_table() -> SecretTable:
    """Return the table of secrets, for the database that the settings name."""
    return PostgresqlSecretTable() if connection.vendor == "postgresql" else PortableSecretTable()
