"""Runs the WSGI application for one request, and sends its response (PEP 3333)."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from gunicorn.http import wsgi
from gunicorn.util import write

from fugata_core.backpressure import reserve
from fugata_core.errors import InternalError
from fugata_server.connection import Connection
from fugata_server.refusals import as_bytes

#: What a client causes that hangs up, or does not send or read in time.
CLIENT_IS_GONE = (ConnectionError, TimeoutError)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Exchange:
    """Answers the request that has arrived on a connection."""

    def __init__(self, worker: Any, connection: Connection) -> None:
        """Answer for `worker`: its application, configuration and logs."""
        self._application: Application = worker.wsgi
        self._config, self._log = worker.cfg, worker.log
        self._connection, self._request = connection, connection.arrival.request
        self._response, self._environ = wsgi.create(
            self._request, connection.sock, connection.peer, connection.server, self._config
        )
        self._environ["wsgi.multithread"] = True
        if not worker.alive:
            self._response.force_close()

    def run(self) -> bool:
        """Send the response; return whether the connection is kept open. Raises CLIENT_IS_GONE."""
        reserve.set(self._connection.sock.reserve)
        try:
            self._respond()
        except CLIENT_IS_GONE:
            raise
        except Exception:
            self._log.exception("Error handling request")
            self._fail()
        finally:
            self._connection.sock.release_reader_place()
        return not self._response.should_close()

    def _respond(self) -> None:
        began = datetime.now()  # noqa: DTZ005  # gunicorn takes the difference alone
        pieces = self._application(self._environ, self._start)
        try:
            for piece in pieces:
                self._response.write(piece)
            self._response.close()
        finally:
            took = datetime.now() - began  # noqa: DTZ005
            self._log.access(self._response, self._request, self._environ, took)
            if hasattr(pieces, "close"):
                pieces.close()

    def _start(self, *arguments: Any) -> Any:
        """Start the response; where the body was not read, no next request can be found."""
        if not self._request.body.is_whole:
            self._response.force_close()
        return self._response.start_response(*arguments)

    def _fail(self) -> None:
        """Answer what the application did not; cut off what it began."""
        self._response.force_close()
        if not self._response.headers_sent:
            write(self._connection.sock, as_bytes(InternalError()))
