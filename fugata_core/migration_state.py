"""Whether the database is as this version's code expects it."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def unapplied_migrations() -> int:
    """Return how many migrations of this code the database lacks; it may have newer ones besides.

    Raises DatabaseError.
    """
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
