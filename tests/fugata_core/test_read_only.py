"""A connection whose database can only be read is closed after the request that found that out."""

import pytest
from django.db import IntegrityError, close_old_connections, connection, transaction

from fugata_core.database_failures import ReadOnlyDatabase
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db(transaction=True)


def forbid_writing() -> None:
    """Make this session read-only, for as long as it lasts."""
    is_postgresql = connection.vendor == "postgresql"
    statement = "SET default_transaction_read_only = on" if is_postgresql else "PRAGMA query_only=1"
    with connection.cursor() as cursor:
        cursor.execute(statement)


def write() -> None:
    StoredValue.objects.create(name="new", sealed=b"x")


def test_one_that_can_only_be_read_is_closed() -> None:
    forbid_writing()
    for _ in range(2):
        with pytest.raises(ReadOnlyDatabase), transaction.atomic():
            write()
    close_old_connections()  # as Django does when a request is over
    assert connection.connection is None
    write()


def test_one_with_another_trouble_is_kept() -> None:
    write()
    before = connection.connection
    with pytest.raises(IntegrityError):
        write()
    close_old_connections()
    assert connection.connection is before
