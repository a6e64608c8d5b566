"""Which persistent database connections are not used again.

Those that died while idle: Django's own health check queries the database at each request. A
connection that PostgreSQL closed has an end-of-file waiting to be read, which takes one system call
to detect. And those of SQLite that stored a large value: each keeps a copy, in each thread.
"""

import select
from typing import Any

from django.core.signals import request_started
from django.db import connections
from django.db.backends.signals import connection_created

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


def note_large_parameters(connection: Any, **_: Any) -> None:
    """Have a new connection to SQLite closed after the request that stores a large value.

    A prepared statement keeps the parameters that it was last given.
    """
    wrappers = connection.execute_wrappers  # they outlive the connection to the database
    if connection.vendor == "sqlite" and _close_after_large_parameters not in wrappers:
        wrappers.append(_close_after_large_parameters)


def _close_after_large_parameters(
    execute: Any, sql: str, parameters: Any, many: bool, context: dict[str, Any]
) -> Any:
    if not many and any(
        isinstance(each, bytes | memoryview) and len(each) > LARGE_PARAMETER
        for each in parameters or ()
    ):
        context["connection"].close_at = 0.0  # Django closes it when the request is over
    return execute(sql, parameters, many, context)


def check_on_each_request() -> None:
    """Check the connection at the start of each request, and what it keeps at the end."""
    request_started.connect(close_if_dead, dispatch_uid="fugata.close_if_dead")
    connection_created.connect(note_large_parameters, dispatch_uid="fugata.large_parameters")
