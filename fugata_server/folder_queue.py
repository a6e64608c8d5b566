"""Kombu's queue in a folder, for a worker that shuts down promptly."""

from typing import Any

from kombu.transport import filesystem


class FolderTransport(filesystem.Transport):
    """Polls the folder once per call.

    Celery asks for two seconds of polling, and checks for shutdown only in between: two such polls
    would take more than half of the time that the worker has to shut down.
    """

    def drain_events(  # type: ignore[override]  # the bases differ
        self, connection: Any, timeout: float | None = None
    ) -> None:
        """Take a message. Raises TimeoutError if there is none."""
        super().drain_events(connection, self.polling_interval if timeout else timeout)
