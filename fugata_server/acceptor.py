"""Accepts connections; makes room for them where there are too many."""

import errno
import socket
from typing import Any

from fugata_server.connection import Connection
from fugata_server.waiting import Waiting

#: File descriptors kept free for the threads once there was none left for a connection.
SPARE_DESCRIPTORS = 16


class Acceptor:
    """Accepts for one process, up to a limit that is lowered when file descriptors run out."""

    def __init__(self, waiting: Waiting, config: Any, log: Any) -> None:
        self._waiting, self._config, self._log = waiting, config, log
        self._limit: int = config.worker_connections

    def accept(self, listener: socket.socket, idle_seconds: float) -> Connection | None:
        """Return a new connection, which belongs to the caller; None if there is none after all.

        Where there are too many, the one that has waited longest is closed, or else the new one.
        """
        try:
            accepted, peer = listener.accept()
        except OSError as error:
            self._on_failure(error)
            return None
        self._waiting.listen()
        connection = Connection(self._config, accepted, peer, accepted.getsockname())
        self._waiting.add(connection, idle_seconds)
        if len(self._waiting) >= self._limit and not self._close_oldest():
            self._waiting.close(connection)
            return None
        return connection

    def _on_failure(self, error: OSError) -> None:
        """Watch the listener again at once, unless that could not help."""
        if error.errno in (errno.EMFILE, errno.ENFILE):
            self._make_room()
        elif error.errno in (errno.EAGAIN, errno.ECONNABORTED):
            self._waiting.listen()
        elif error.errno != errno.EBADF:  # the process stops
            self._log.error("A connection could not be accepted: %s", error.strerror)

    def _make_room(self) -> None:
        """Lower the limit from now on: the requests being served may need files too."""
        self._log.warning("No file descriptor is left for a connection: see `ulimit -n`")
        count = len(self._waiting)
        spare = min(SPARE_DESCRIPTORS, count // 2)
        self._limit = min(self._limit, max(count - spare, 2))
        for _ in range(spare + 1):
            self._close_oldest()

    def _close_oldest(self) -> bool:
        waiting = self._waiting
        oldest = waiting.take_oldest(waiting.lingering, waiting.idle, waiting.arriving)
        if oldest is not None:
            waiting.close(oldest)
        return oldest is not None
