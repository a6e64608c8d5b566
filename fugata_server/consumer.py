"""The worker's use of the queue, which comes back whatever Redis did."""

import logging
from time import sleep
from typing import Any

from celery.worker import consumer, request
from celery.worker.state import maybe_shutdown

from fugata_server.broker import connected

#: Seconds before the queue is used again: after a lost connection, and after Redis refused
#: something (its memory is full, it became a replica, a command was taken from the user).
AFTER_LOSS, AFTER_REFUSAL = 1, 5


class Consumer(consumer.Consumer):
    """Celery's, but what Redis refuses is taken for passing, as a lost connection is."""

    # What the stubs lack.
    hub: Any
    amqheartbeat: Any
    connection_errors: Any
    channel_errors: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connection_errors += self.channel_errors

    def connect(self) -> Any:
        """Return a connection. If the rest of this fails, it is closed as one that was lost."""
        self.connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        self.connection.connection_errors = self.connection_errors  # for the loop's timers
        if self.hub:
            transport = self.connection.transport
            transport.register_with_event_loop(self.connection.connection, self.hub)
        return self.connection

    def ensure_connected(self, conn: Any) -> Any:
        """Try until the connection is there, or the worker is to end."""
        self.first_connection_attempt = False
        return connected(conn, maybe_shutdown)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Log the kind of the error alone (its text may hold a message), and pause."""
        kind: Any = type(exc).__name__
        super().on_connection_error_after_connected(kind)
        for _ in range(AFTER_REFUSAL if isinstance(exc, self.channel_errors) else AFTER_LOSS):
            maybe_shutdown()
            sleep(1)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Shorten what Celery logs if the queue fails between a task's begin and its end."""
    if str(record.msg).startswith("Couldn't ") and record.exc_info and record.exc_info[0]:
        record.msg = "a task that was run could not be taken off the queue (%s)"
        record.args, record.exc_info = (record.exc_info[0].__name__,), None
    return True


logging.getLogger(request.__name__).addFilter(_without_traceback)
