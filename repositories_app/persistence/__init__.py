"""What the database knows of tokens, members and secrets: asked and written in few statements.

`registry()` gives the implementation for the database in use: one statement each on PostgreSQL,
the ORM anywhere else. One contract suite runs over both.
"""

from functools import cache

from django.db import connection

from repositories_app.persistence.base import KnownToken, LoadedSecret, Registry, SecretRef
from repositories_app.persistence.portable import PortableRegistry
from repositories_app.persistence.postgresql import PostgresqlRegistry

__all__ = ["KnownToken", "LoadedSecret", "Registry", "SecretRef", "registry"]


@cache
def registry() -> Registry:
    """Return the register for the database that the settings name."""
    return PostgresqlRegistry() if connection.vendor == "postgresql" else PortableRegistry()
