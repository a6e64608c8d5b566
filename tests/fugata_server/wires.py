"""A client's connection on which just so much has come in."""

from typing import Any


class WouldBlock(BaseException):
    """Somebody asked for bytes that have not come in: a thread would wait for them."""


class Wire:
    """What a body is received from."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self.sent = b""

    def recv(self, size: int, /) -> bytes:
        """Return what is there. Raises WouldBlock."""
        if not self._data:
            raise WouldBlock()
        data, self._data = self._data[:size], self._data[size:]
        return data

    def sendall(self, data: Any, /) -> None:
        """Note it."""
        self.sent += bytes(data)
