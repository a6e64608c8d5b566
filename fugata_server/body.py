"""The body of one request: what has arrived of it, and the rest of it from the socket.

One decoder reads it, in the thread that watches the connection and in the thread that answers the
request: there is no second opinion on where the body ends (RFC 9112, sections 6 and 7.1).
"""

import io
from typing import TYPE_CHECKING, Protocol

from gunicorn.asgi.parser import ParseError, PythonProtocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Bytes that are received at once.
STEP = 64 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: Bytes that a chunked body may have with its framing, and for each byte without: tiny chunks take
#: a lot of time to decode.
MAX_FRAMING, MAX_FRAMING_RATIO = 64 * 1024, 4
#: gunicorn's incremental parser wants a head before the chunks.
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class BodyLost(ConnectionError):
    """The body ended early, or its framing is malformed."""


class Source(Protocol):
    """What the rest of a body is received from."""

    def recv(self, size: int, /) -> bytes:
        """Wait for data. Raises TimeoutError."""

    def sendall(self, data: "ReadableBuffer", /) -> None:
        """Send all of `data`."""


class RequestBody(io.IOBase):
    """A `wsgi.input` (PEP 3333) that ends with the body, and reads no byte of what follows."""

    def __init__(self, source: Source, length: int | None, awaits_continue: bool = False) -> None:
        """Begin a body of `length` bytes; None means that it is chunked."""
        self._source, self.length = source, length
        self._left = length or 0
        self._data = bytearray()
        self._chunks = self._new_chunk_parser() if length is None else None
        #: Bytes of a chunked body, and of it with its framing.
        self._decoded = self._framed = 0
        #: Whether the client sends nothing before it is told to ("Expect: 100-continue").
        self.awaits_continue = awaits_continue and length != 0
        self.is_whole, self.is_lost = length == 0, False
        #: What followed the body: the beginning of the next request.
        self.ahead = b""

    @property
    def arrived(self) -> int:
        """How many bytes of it are held in memory."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self.awaits_continue = False
        if self.is_whole:
            self.ahead += data
            return
        if self._chunks is None:
            self._add(data)
            return
        self._framed += len(data)
        before = len(self._data)
        try:
            self._chunks.feed(data)
        except ParseError:
            self.is_lost = True
        self._decoded += len(self._data) - before
        if self._framed > MAX_FRAMING + MAX_FRAMING_RATIO * self._decoded:
            self.is_lost = True
        if self._chunks.is_complete:
            self.is_whole, self.ahead = True, self._chunks.remaining()

    def _new_chunk_parser(self) -> PythonProtocol:
        # Not a method of this object: the parser is in a reference cycle.
        parser = PythonProtocol(on_body=self._data.extend)
        parser.feed(_CHUNKED_HEAD)
        return parser

    def _add(self, data: bytes) -> None:
        self._data += data[: self._left]
        self.ahead = data[self._left :]
        self._left = max(self._left - len(data), 0)
        self.is_whole = not self._left

    def cut_off(self) -> None:
        """Note that the client will send nothing more."""
        self.is_lost = not self.is_whole

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, less only at the end. Raises BodyLost and TimeoutError."""
        wanted = float("inf") if size is None or size < 0 else size
        while not self.is_whole and len(self._data) < wanted:
            self._receive()
        count = int(min(wanted, len(self._data)))
        piece = bytes(memoryview(self._data)[:count])
        del self._data[:count]
        return piece

    def _receive(self) -> None:
        if self.awaits_continue:
            self._source.sendall(CONTINUE)
        data = b"" if self.is_lost else self._source.recv(STEP)
        if not data:
            self.is_lost = True
            raise BodyLost()
        self.feed(data)
