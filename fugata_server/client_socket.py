"""A client's connection, on which no thread waits for long, and few threads wait at all.

Reading has a deadline. So has writing, extended by the bytes that the client takes; and a thread
may wait for a slow reader only if it gets a place, of which there are half as many as threads.
"""

import errno
import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Self

from fugata_core.limits import IDLE_TIMEOUT, MIN_RATE, READERS, Bulkhead, bulkhead

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class ClientSocket(socket.socket):
    """What gunicorn reads requests from and writes answers to."""

    _timeout = IDLE_TIMEOUT
    #: Whether the request that is being answered has a place for a huge body.
    may_be_huge = False
    _place: Bulkhead | None = None
    _deadline = 0.0

    @classmethod
    def of(cls, accepted: socket.socket) -> Self:
        """Take over a connection that was just accepted."""
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        connection = cls(family, kind, protocol, fileno=accepted.detach())
        # Always non-blocking: waiting is done here, and switching modes costs system calls.
        socket.socket.setblocking(connection, False)
        return connection

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the socket is always non-blocking, and `recv` waits within its timeout."""

    def settimeout(self, seconds: float | None) -> None:
        """Set how long `recv` waits, in seconds; None means `IDLE_TIMEOUT`, not forever."""
        self._timeout = IDLE_TIMEOUT if seconds is None else seconds

    def gettimeout(self) -> float:
        """Return how long `recv` waits, in seconds."""
        return self._timeout

    def read_now(self, size: int) -> bytes:
        """Return what has arrived, up to `size` bytes. Raises BlockingIOError if nothing has."""
        return os.read(self.fileno(), size)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Wait for data and return up to `size` bytes of it. Raises TimeoutError."""
        while True:
            try:
                return self.read_now(size)
            except BlockingIOError:
                if not self._wait_for(select.POLLIN, self._timeout):
                    raise TimeoutError("nothing came in") from None

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Send all, at once if the kernel has room. Raises BrokenPipeError for a slow reader."""
        with memoryview(data) as whole:
            sent = 0
            while sent < len(whole):
                try:
                    step = os.write(self.fileno(), whole[sent:])
                except BlockingIOError:
                    self._await_reader()
                    continue
                sent += step
                self._deadline += step / MIN_RATE

    def reserve(self) -> bool:
        """Hold a place for a slow reader, until it is released; return False when there is none."""
        if self._place is None:
            place = bulkhead(READERS)
            self._place = place if place.enter() else None
            self._deadline = time.monotonic() + IDLE_TIMEOUT
        return self._place is not None

    def release_reader_place(self) -> None:
        """Give the place back."""
        if self._place is not None:
            self._place.leave()
            self._place = None

    def _await_reader(self) -> None:
        if not self.reserve():
            self._abort()
        left = min(self._deadline - time.monotonic(), IDLE_TIMEOUT)
        if left <= 0 or not self._wait_for(select.POLLOUT, left):
            self._abort()

    def _wait_for(self, ready: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.fileno(), ready)
        return bool(poll.poll(seconds * 1000))

    def _abort(self) -> None:
        """Abort the connection, and drop what the kernel still buffers for it."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        raise BrokenPipeError(errno.EPIPE, "the reader is too slow")
