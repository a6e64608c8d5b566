"""Django's backend for PostgreSQL, with a deadline for each of the server's answers.

A server that hangs, for its disk does for instance, has a kernel that still acknowledges what it is
sent: neither keepalives nor TCP's own timeouts notice. The thread would wait for good, whether or
not another server has taken its place.

What was given up must not be done later, after its client was told that it failed: a server that
works ends a statement before (`statement_timeout`). Only a commit has no such end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

T = TypeVar("T")

#: The part of an answer's time after which the server ends the statement, before it is given up.
_END_AT = 0.9
# An operator's own limit stays if it is shorter. PgBouncer would give this to other clients too.
_END_STATEMENTS = """
SELECT set_config('statement_timeout', '{0}', false)
FROM pg_settings WHERE name = 'statement_timeout' AND setting::int NOT BETWEEN 1 AND {0}
"""

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

    def init_connection_state(self) -> None:
        """Have the server end statements that take so long that they would be given up."""
        super().init_connection_state()
        limit = BoundedConnection.limit
        if limit is not None and self.settings_dict["OPTIONS"]["prepare_threshold"] is not None:
            self.connection.execute(_END_STATEMENTS.format(int(limit * 1000 * _END_AT)))


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
