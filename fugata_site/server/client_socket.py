"""A client's connection, on which no thread waits for long, and few threads wait at all.

Reading has a deadline. Writing has one too, by the bytes that the reader takes; and a thread that
waits for a reader needs one of half the threads' places.
"""

import errno
import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Self

from django.conf import settings

from fugata_site.body import IDLE, SLOWEST
from fugata_site.middleware.bulkhead import Bulkhead

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)

sending = Bulkhead(settings.WEB_THREADS // 2)


class ClientSocket(socket.socket):
    """What gunicorn reads requests from and writes answers to."""

    _holds = False
    _deadline = 0.0
    aborted = False

    @classmethod
    def of(cls, accepted: socket.socket) -> Self:
        """Take over a connection that was just accepted; it does not block."""
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        connection = cls(family, kind, protocol, fileno=accepted.detach())
        connection.settimeout(0)
        return connection

    def setblocking(self, flag: bool) -> None:
        """Block for `IDLE` seconds, or not at all."""
        super().settimeout(IDLE if flag else 0)

    def settimeout(self, seconds: float | None) -> None:
        """Set how long reading waits; there is no "for ever"."""
        super().settimeout(IDLE if seconds is None else seconds)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Send all, at once where the kernel has room. Raises BrokenPipeError for a slow reader."""
        with memoryview(data) as whole:
            sent = 0
            while sent < len(whole):
                try:
                    step = os.write(self.fileno(), whole[sent:])
                except BlockingIOError:
                    self._await_reader()
                    continue
                sent += step
                self._deadline += step / SLOWEST

    def reserve(self) -> bool:
        """Hold a place for a reader who may be slow, until `answered`; False when there is none."""
        if not self._holds:
            self._holds = sending.enter()
            self._deadline = time.monotonic() + IDLE
        return self._holds

    def answered(self) -> None:
        """Give the place back."""
        if self._holds:
            self._holds = False
            sending.leave()

    def _await_reader(self) -> None:
        if not self.reserve():
            self._abort()
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        left = min(self._deadline - time.monotonic(), IDLE)
        if left <= 0 or not poll.poll(left * 1000):
            self._abort()

    def _abort(self) -> None:
        """Give the reader up, and with it what the kernel still keeps for it."""
        self.aborted = True
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        raise BrokenPipeError(errno.EPIPE, "the reader is too slow")
