"""Django's backend for PostgreSQL, with a deadline for each of the server's answers.

A server that hangs, for its disk does for instance, has a kernel that still acknowledges what it is
sent: neither keepalives nor TCP's own timeouts notice. The thread would wait for good, whether or
not another server has taken its place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

T = TypeVar("T")

_shorter: ContextVar[float | None] = ContextVar("shorter", default=None)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is given up when an answer takes longer than `limit` seconds."""

    #: Of this process; None: however long it takes.
    limit: ClassVar[float | None] = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an answer. Raises psycopg.OperationalError if it does not come in time."""
        limit = self.limit if _shorter.get() is None else _shorter.get()
        try:
            return super().wait(gen, interval, limit if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            if timeout is None:
                self.pgconn.finish()  # an answer that comes late must not be read as the next one
            raise


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection, over a bounded one."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a new connection to the server."""
        connection = super().get_new_connection(conn_params)
        connection.__class__ = BoundedConnection
        return connection


def limit_answers(seconds: float) -> None:
    """Have this process wait so long at most for each of PostgreSQL's answers.

    A command is not limited: one of its statements may take as long as there are rows.
    """
    BoundedConnection.limit = seconds


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Have this thread wait so long at most for each of PostgreSQL's answers while the block runs.

    It is for what is worth no longer wait; a connection that is given up so is not used again.
    """
    token = _shorter.set(seconds)
    try:
        yield
    finally:
        _shorter.reset(token)
