"""Kombu's queue in a folder, for a worker that ends when it is told to."""

from typing import Any

from kombu.transport import filesystem


class FolderTransport(filesystem.Transport):
    """Looks into the folder once a call.

    Celery asks for two seconds of looking, and looks at its orders to end in between: twice that
    was more than half of the time that the worker has to end in.
    """

    def drain_events(  # type: ignore[override]  # the bases differ
        self, connection: Any, timeout: float | None = None
    ) -> None:
        """Take a message. Raises TimeoutError where there is none."""
        super().drain_events(connection, self.polling_interval if timeout else timeout)
