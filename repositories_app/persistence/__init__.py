"""Access to tokens, members and secrets for the database in use.

Single statements on PostgreSQL, the ORM elsewhere. One contract test suite covers both.
"""

from functools import cache

from django.db import connection

from repositories_app.persistence.base import (
    AccessTable,
    LiveToken,
    LoadedSecret,
    SecretRef,
    SecretTable,
)
from repositories_app.persistence.portable import PortableAccessTable, PortableSecretTable
from repositories_app.persistence.postgresql import PostgresqlAccessTable, PostgresqlSecretTable

__all__ = [
    "AccessTable",
    "LiveToken",
    "LoadedSecret",
    "SecretRef",
    "SecretTable",
    "access_table",
    "secret_table",
]


@cache
def access_table() -> AccessTable:
    """Return the table of tokens and members, for the database that the settings name."""
    return PostgresqlAccessTable() if connection.vendor == "postgresql" else PortableAccessTable()


@cache
def secret_table() -> SecretTable:
    """Return the table of secrets, for the database that the settings name."""
    return PostgresqlSecretTable() if connection.vendor == "postgresql" else PortableSecretTable()
