"""HTTP on plain sockets: volleys of requests, and requests that no client library would send."""

import contextlib
import http.client
import io
import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of the headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class _Kept(io.BufferedReader):
    """A reader that outlives the answers read from it: the next one may be in its buffer."""

    def close(self) -> None:
        """Stay open."""


class Line:
    """One connection to the service."""

    def __init__(self, port: int, seconds: float = 60.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._raw = self.socket.makefile("rb", buffering=0)
        self._file = _Kept(cast(io.RawIOBase, self._raw))

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the one reader (http.client asks the socket for it)."""
        return self._file

    def send(self, *pieces: bytes) -> Self:
        """Send bytes as they are."""
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def half_close(self) -> Self:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self, method: str = "GET") -> Answer:
        """Return the next answer on this connection, to a request of that method."""
        response = http.client.HTTPResponse(cast(socket.socket, self), method=method)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())

    def ended(self) -> bool:
        """Return whether the service closes the connection and says nothing more."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """Return a request as bytes; `content_length="5"` gives a header its value."""
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    fields = {"host": "localhost"} | given
    if body is not None:
        fields = {"content-type": "application/json", "content-length": str(len(body))} | fields
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Yield `pieces` in chunked encoding, its end included."""
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def exchange(port: int, data: bytes) -> Answer:
    """Send one request on a connection of its own and return the answer."""
    with Line(port) as line:
        return line.send(data).answer(_method(data))


def _method(data: bytes) -> str:
    return data.partition(b" ")[0].decode()


def volley(port: int, requests: Sequence[bytes]) -> list[Answer]:
    """Send all requests at once and return their answers, in the same order.

    All connections are open before the first request is sent, and all requests are sent before
    the first answer is read.
    """
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(port)) for _ in requests]
        for line, data in zip(lines, requests, strict=True):
            line.send(data)
        return [line.answer(_method(data)) for line, data in zip(lines, requests, strict=True)]
