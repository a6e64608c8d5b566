"""Which persistent database connections are not used again.

Those that died while idle: Django's own health check queries the database at each request. A
connection that PostgreSQL closed has an end-of-file waiting to be read, which takes one system call
to detect. Those whose database can only be read: the next one may lead to another server. Those
whose prepared statements are older than a change to their tables: they fail for good. And those of
SQLite that stored a large value: each keeps a copy, in each thread.
"""

import select
from typing import Any

from django.core.signals import request_started
from django.db import DatabaseError, connections
from django.db.backends.signals import connection_created

from fugata_core.database_failures import lasting_failure

#: Bytes of a parameter that are worth a new connection to SQLite (a millisecond) to get back.
LARGE_PARAMETER = 256 * 1024


def close_if_dead(**_: Any) -> None:
    """Close this thread's connection if the server has closed its end, so that a new one is made.

    Anything else that makes an idle connection readable is rare, and costs a reconnection.
    """
    connection = connections["default"]
    live = connection.connection
    if live is None or connection.vendor != "postgresql":
        return
    if live.closed or _readable(live.pgconn.socket):
        connection.close()


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def close_if_failed() -> None:
    """Close this thread's connection if a statement failed and it can't be used any more.

    For those who go on after a failure, outside of a transaction; Django does it between requests.
    """
    connection = connections["default"]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def note_lasting_failures(connection: Any, **_: Any) -> None:
    """Have a new connection closed after the request that finds it to be of no more use.

    That statement raises ReadOnlyDatabase or StaleStatement.
    """
    _wrap(connection, _close_if_useless)


def _close_if_useless(
    execute: Any, sql: str, parameters: Any, many: bool, context: dict[str, Any]
) -> Any:
    try:
        return execute(sql, parameters, many, context)
    except DatabaseError as error:
        kind = lasting_failure(error)
        if kind is None:
            raise
        _close_soon(context)
        raise kind(*error.args) from error.__cause__


def note_large_parameters(connection: Any, **_: Any) -> None:
    """Have a new connection to SQLite closed after the request that stores a large value.

    A prepared statement keeps the parameters that it was last given.
    """
    if connection.vendor == "sqlite":
        _wrap(connection, _close_after_large_parameters)


def _close_after_large_parameters(
    execute: Any, sql: str, parameters: Any, many: bool, context: dict[str, Any]
) -> Any:
    if not many and any(
        isinstance(each, bytes | memoryview) and len(each) > LARGE_PARAMETER
        for each in parameters or ()
    ):
        _close_soon(context)
    return execute(sql, parameters, many, context)


def _wrap(connection: Any, wrapper: Any) -> None:
    wrappers = connection.execute_wrappers  # they outlive the connection to the database
    if wrapper not in wrappers:
        wrappers.append(wrapper)


def _close_soon(context: dict[str, Any]) -> None:
    context["connection"].close_at = 0.0  # Django closes it when the request is over


def check_on_each_request() -> None:
    """Check the connection at the start of each request, and close some at its end."""
    request_started.connect(close_if_dead, dispatch_uid="fugata.close_if_dead")
    connection_created.connect(note_lasting_failures, dispatch_uid="fugata.lasting_failures")
    connection_created.connect(note_large_parameters, dispatch_uid="fugata.large_parameters")
