"""Reads all tables as they stood at one moment, without blocking writers."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder


@contextmanager
def consistent_snapshot() -> Iterator[None]:
    """Make every query in the block see the database as it was at the first one."""
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")  # transaction.atomic() would lock writers out
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def newest_migrations() -> dict[str, str]:
    """Return the newest applied migration of each app, by the app's label."""
    applied = MigrationRecorder(connection).applied_migrations()
    return {app: max(name for label, name in applied if label == app) for app, _ in applied}


def newest_of_this_code() -> dict[str, str]:
    """Return the same of a database that this code has migrated."""
    return dict(MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes())
