"""Rows one after the other, so that not all of them are in memory."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import QuerySet

T = TypeVar("T")


def stream(rows: QuerySet[Any, T], chunk_size: int = 2000) -> Iterator[T]:
    """Yield the rows as they stood at the first one, `chunk_size` of them in memory.

    On PostgreSQL in a transaction: a cursor outlives one in its session only, and PgBouncer gives
    each transaction another. On SQLite, which needs none, it would lock writers out.
    """
    in_session = connection.vendor == "postgresql"
    with transaction.atomic() if in_session else nullcontext():
        yield from rows.iterator(chunk_size=chunk_size)
