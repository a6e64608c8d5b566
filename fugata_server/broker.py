"""Connecting to the queue between beat and the worker, for as long as it takes."""

import logging
from collections.abc import Callable
from typing import Any

#: The most seconds between two tries.
MOST = 5

logger = logging.getLogger(__name__)


def connected(connection: Any, callback: Callable[[], None] | None = None) -> Any:
    """Return kombu's `connection` once it is one; call `callback` each second until then.

    It is tried for ever: a process that ended would have to be started again by something.
    """
    return connection.ensure_connection(
        _say, interval_start=1, interval_step=1, interval_max=MOST, callback=callback
    )


def _say(error: Exception, interval: float) -> None:
    """Name the kind of the error alone: its text may hold an address."""
    logger.error("can't connect to the queue (%s); trying again", type(error).__name__)
