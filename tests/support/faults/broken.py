"""A service that is broken in a way that a test names."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from tests.support.servers.http_server import Handler, LocalServer

Break = Callable[[Handler], None]


def status(number: int, **fields: object) -> Break:
    """Answer every request with that status and a JSON object."""

    def answer(handler: Handler) -> None:
        handler.answer(number, json.dumps(fields).encode(), content_type="application/json")

    return answer


def page(handler: Handler) -> None:
    """Answer 200 with a page, as a proxy's sign-in does."""
    handler.answer(200, b"<html>sign in</html>", content_type="text/html")


def redirect(target: str) -> Break:
    """Send every request somewhere else."""
    return lambda handler: handler.answer(307, b"", location=target + handler.path)


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Reset the connection (RST) instead of answering."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True
    handler.rfile.close()
    handler.wfile.close()
    handler.connection.close()


class BrokenServer(LocalServer):
    """Answers as `broken` says; `hang()` says nothing until the server is closed."""

    def __init__(self, broken: Break | None = None) -> None:
        server, self.seen = self, list[dict[str, str]]()
        self.broken, self._closing = broken or self.hang, threading.Event()

        class Broken(Handler):
            def do_POST(self) -> None:  # noqa: N802  # http.server's name
                server.seen.append(dict(self.headers))
                self.body()
                server.broken(self)

        super().__init__(Broken)

    def hang(self, handler: Handler) -> None:
        """Say nothing until the server is closed."""
        self._closing.wait(60)
        handler.close_connection = True

    def close(self) -> None:
        """Let go of what hangs, and stop."""
        self._closing.set()
        super().close()
