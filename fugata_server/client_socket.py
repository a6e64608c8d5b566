"""A client's connection, on which no thread waits for long, and few threads wait at all.

A thread that answers a request has one deadline for all that it receives and sends, which no byte
extends, and a lower one for a client that falls behind MIN_RATE. It may wait for a slow reader only
if it gets a place, of which there are half of WEB_THREADS (`fugata_core/limits.py`).
"""

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from fugata_core.limits import IDLE_TIMEOUT, MIN_RATE, READERS, Bulkhead, bulkhead

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class ClientSocket(socket.socket):
    """What requests are received from and responses are sent to; it never blocks by itself."""

    _place: Bulkhead | None = None
    #: When waiting ends, whatever happens, and when it ends unless the client goes on.
    _deadline = _kept_up_until = 0.0

    @classmethod
    def of(cls, accepted: socket.socket) -> Self:
        """Take over a connection that was just accepted."""
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        connection = cls(family, kind, protocol, fileno=accepted.detach())
        connection.setblocking(False)
        return connection

    def allow(self, seconds: float) -> None:
        """Begin a request: its thread may wait here until `seconds` from now."""
        now = time.monotonic()
        self._deadline, self._kept_up_until = now + seconds, now + IDLE_TIMEOUT

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Lower the deadline to `seconds` from now while the block runs."""
        before = self._deadline
        self._deadline = min(before, time.monotonic() + seconds)
        try:
            yield
        finally:
            self._deadline = before

    def read_now(self, size: int) -> bytes:
        """Return what has arrived, up to `size` bytes. Raises BlockingIOError if nothing has."""
        return os.read(self.fileno(), size)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Wait for data and return up to `size` bytes of it. Raises TimeoutError."""
        while self._deadline > time.monotonic():
            try:
                data = self.read_now(size)
            except BlockingIOError:
                if self._wait_for(select.POLLIN):
                    continue
                break
            self._kept_up_until += len(data) / MIN_RATE
            return data
        raise TimeoutError("the client did not send in time")

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
                self._kept_up_until += step / MIN_RATE

    def reserve(self) -> bool:
        """Hold a place for a slow reader, until it is released; return False when there is none."""
        if self._place is None:
            place = bulkhead(READERS)
            self._place = place if place.enter(self._deadline) else None
            self._kept_up_until = time.monotonic() + IDLE_TIMEOUT
        return self._place is not None

    def release_reader_place(self) -> None:
        """Give the place back."""
        if self._place is not None:
            self._place.leave()
            self._place = None

    def _await_reader(self) -> None:
        is_over = self._deadline <= time.monotonic()
        if is_over or not self.reserve() or not self._wait_for(select.POLLOUT):
            self._abort()

    def _wait_for(self, ready: int) -> bool:
        """Wait, until the deadline at the latest; return whether the client did its part."""
        now = time.monotonic()
        seconds = min(self._deadline - now, self._kept_up_until - now, IDLE_TIMEOUT)
        poll = select.poll()
        poll.register(self.fileno(), ready)
        return seconds > 0 and bool(poll.poll(seconds * 1000))

    def _abort(self) -> None:
        """Abort the connection, and drop what the kernel still buffers for it."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        raise BrokenPipeError(errno.EPIPE, "the reader is too slow")
