"""METRICS_PORT: a listener beside the public one, which no client's request can block.

The socket is made before gunicorn forks; each worker has a thread that answers on it.
"""

import socket
import threading
from collections.abc import Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from django.conf import settings

from fugata_core import routes
from fugata_core.addresses import authority, counted_as


class CannotListen(Exception):
    """METRICS_PORT can't be bound; the message says why."""


def listen() -> socket.socket:
    """Return a socket that listens on METRICS_HOST and METRICS_PORT. Raises CannotListen."""
    host, port = settings.METRICS_HOST, settings.METRICS_PORT
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise CannotListen(
            f"METRICS_PORT: {authority(host, port)} can't be listened on"
            f" ({error.strerror}, maybe in use)."
        ) from None
    listening.setblocking(False)  # several processes may wake up for one connection
    return listening


def serve(listening: socket.socket) -> None:
    """Serve scrapes on `listening` in a thread of its own, for as long as the process runs."""
    server = _Server(("", 0), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.set_app(application)
    server.base_environ = {}
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a scraper that hung up is no error."""


class _Handler(WSGIRequestHandler):
    timeout = 5  # seconds that a client may take to send its request

    def address_string(self) -> str:
        return ""

    def log_message(self, *args: Any) -> None:
        """Log nothing: no client is recorded."""


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve /metrics, and nothing else, as a WSGI application."""
    from operations_app.metrics.exposition import ScrapeResponse, scrape

    method: str = environ["REQUEST_METHOD"]
    if environ["PATH_INFO"] == routes.METRICS:
        given = (environ.get("HTTP_AUTHORIZATION", ""), environ.get("HTTP_ACCEPT", ""))
        answer = scrape(method, *given, counted_as(environ.get("REMOTE_ADDR", "")))
    else:
        answer = ScrapeResponse(404, b'{"error": "Not found"}')
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"} | answer.headers
    headers["Content-Length"] = str(len(answer.body))
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
    return [] if method == "HEAD" else [answer.body]
