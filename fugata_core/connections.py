"""Detects persistent database connections that died while idle, before they are used.

Django's own health check queries the database at each request. A connection that PostgreSQL closed
has an end-of-file waiting to be read, which takes one system call to detect.
"""

import select
from typing import Any

from django.core.signals import request_started
from django.db import connections


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


def check_on_each_request() -> None:
    """Check the connection at the start of each request."""
    request_started.connect(close_if_dead, dispatch_uid="fugata.close_if_dead")
