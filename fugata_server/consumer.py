"""The worker's use of the queue, which comes back whatever Redis did, and whatever is on the queue.

Anybody who can write to Redis can put anything there. What is no task in JSON is dropped unread.
"""

import logging
from collections.abc import Callable
from time import sleep
from typing import Any

from celery.worker import consumer, request
from celery.worker.state import maybe_shutdown

from fugata_server.broker import connected

logger = logging.getLogger(__name__)

#: Seconds before the queue is used again: after a lost connection, and after Redis refused
#: something (its memory is full, it became a replica, a command was taken from the user).
AFTER_LOSS, AFTER_REFUSAL = 1, 5
#: What Celery and kombu raise of a message that is malformed; so does code that has a fault.
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Malformed(Exception):
    """A message that could not be read where one was awaited; it is off the queue."""


class Consumer(consumer.Consumer):
    """Celery's, but what Redis refuses is taken for passing, as a lost connection is."""

    # What the stubs lack.
    hub: Any
    amqheartbeat: Any
    connection_errors: Any
    channel_errors: Any
    loop: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connection_errors += (*self.channel_errors, Malformed)
        self.loop = _dropping(self.loop)

    def connect(self) -> Any:
        """Return a connection. If the rest of this fails, it is closed as one that was lost."""
        self.connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        self.connection.connection_errors = self.connection_errors + _MALFORMED  # of timers
        if self.hub:
            transport = self.connection.transport
            transport.register_with_event_loop(self.connection.connection, self.hub)
        return self.connection

    def ensure_connected(self, conn: Any) -> Any:
        """Try until the connection is there, or the worker is to end."""
        self.first_connection_attempt = False
        return connected(conn, maybe_shutdown)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Log the kind of the error alone (its text may hold a message), and pause.

        Kombu reads a message where it waits for one: what it can't read is off the queue, and ends
        the connection as a loss does.
        """
        is_message = isinstance(exc, Malformed)
        kind: Any = str(exc) if is_message else type(exc).__name__
        if is_message:
            _say_dropped(kind)
        super().on_connection_error_after_connected(kind)
        for _ in range(AFTER_REFUSAL if isinstance(exc, self.channel_errors) else AFTER_LOSS):
            maybe_shutdown()
            sleep(1)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return what takes a message off the queue, or drops it."""
        handle = super().create_task_handler(*args, **options)

        def handle_or_drop(message: Any) -> None:
            try:
                handle(message)
            except _MALFORMED as error:
                _drop(message, type(error).__name__)

        return handle_or_drop

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop a message in another format than JSON, a pickle for one."""
        _drop(message, type(exc).__name__)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Drop a message that is no task."""
        _drop(message, "no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a task that this version does not have."""
        _drop(message, "an unregistered task")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a task whose arguments are in another format than JSON."""
        _drop(message, type(exc).__name__)


def _dropping(loop: Callable[..., None]) -> Callable[..., None]:
    """Return the loop that awaits messages; what is wrong before it begins is no message."""

    def loop_or_drop(*args: Any, **options: Any) -> None:
        try:
            loop(*args, **options)
        except _MALFORMED as error:
            raise Malformed(type(error).__name__) from None

    return loop_or_drop


def _drop(message: Any, why: str) -> None:
    """Take a message off the queue; none of it is logged, not even with Celery's traceback."""
    _say_dropped(why)
    if not message.acknowledged:
        message.reject()


def _say_dropped(why: str) -> None:
    logger.error("a message on the queue was dropped unread (%s)", why)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Shorten what Celery logs if the queue fails between a task's begin and its end."""
    if str(record.msg).startswith("Couldn't ") and record.exc_info and record.exc_info[0]:
        record.msg = "a task that was run could not be taken off the queue (%s)"
        record.args, record.exc_info = (record.exc_info[0].__name__,), None
    return True


logging.getLogger(request.__name__).addFilter(_without_traceback)
