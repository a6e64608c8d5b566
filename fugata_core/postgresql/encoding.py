"""The encoding of the database, which must be able to keep every text."""

from django.core.management import CommandError
from django.db import connection


def refuse_encoding() -> None:
    """Raise CommandError for a database that can't keep every text. Raises DatabaseError."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        if cursor.fetchone() != ("UTF8",):
            raise CommandError(
                "DATABASE_URL: the database's encoding must be UTF8, or it can't keep every text."
                " Make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
