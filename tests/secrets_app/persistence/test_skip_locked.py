"""A purge on PostgreSQL passes over what somebody else holds (SQLite has one writer at a time)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from secrets_app.models import Share
from secrets_app.persistence import ShareTable
from tests.secrets_app.support import put

pytestmark = pytest.mark.django_db(transaction=True)


def test_purge_passes_over_a_row_that_somebody_holds(table: ShareTable) -> None:
    held, free = put(table, -2), put(table, -1)
    holds, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Share.objects.select_for_update().get(digest=bytes(held.digest))
            holds.set()
            may_end.wait(60)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        assert holds.wait(60)
        try:
            assert table.purge(10) == [free.value_name]
        finally:
            may_end.set()
        holder.result()
    assert table.purge(10) == [held.value_name]
