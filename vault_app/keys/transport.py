"""HTTP to a key service: each call has one absolute deadline, and its answer a largest size.

The timeouts of the libraries are for each read of a socket, so an answer that trickles would hold
its thread for as long as it goes on. Here each name look-up, connection, TLS handshake and read
gets only what is left of the call's time.
"""

import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util import Timeout
from urllib3.util.connection import create_connection

#: Bytes of an answer at most, its head included. A wrapped data key has some hundred.
MAX_ANSWER = 64 * 1024
#: Names that are looked up at the same time: the system's look-up has no timeout of its own.
_LOOKUPS = 4

E = TypeVar("E", bound=BaseException)

_thread = threading.local()


class AnswerTooLarge(OSError):
    """The answer is larger than MAX_ANSWER."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Have all calls of this thread in the block end within `seconds` together.

    A block in it can only shorten that.
    """
    before = getattr(_thread, "deadline", float("inf"))
    _thread.deadline = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        _thread.deadline = before


def time_left() -> float:
    """Return the seconds that are left to this thread's call. Raises TimeoutError if none are."""
    left: float = _thread.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the key service did not answer in time")
    return left


class _BoundedReader(io.RawIOBase):
    """What an answer is read from: until the deadline, and up to MAX_ANSWER."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._raw = sock, sock.makefile("rb", buffering=0)
        self._left = MAX_ANSWER

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has arrived. Raises TimeoutError, AnswerTooLarge."""
        self._sock.settimeout(time_left())
        size = self._raw.readinto(buffer)
        self._left -= size or 0
        if self._left < 0:
            raise AnswerTooLarge("the key service's answer is too large")
        return size

    def close(self) -> None:
        """Close it, and with it the socket if the connection is closed too."""
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedReader(sock))


class _TimedConnection(HTTPConnection):
    """Connects within what is left, whatever number of addresses the name has."""

    response_class = _BoundedResponse

    def _new_conn(self) -> socket.socket:
        problem: OSError = OSError("the name has no address")
        for address in _addresses(self):
            try:
                found = create_connection(
                    (address, self.port), time_left(), self.source_address, self.socket_options
                )
            except OSError as error:
                problem = error
                continue
            found.settimeout(time_left())  # for the TLS handshake
            return found
        raise NewConnectionError(self, type(problem).__name__) from problem


class _TimedTlsConnection(_TimedConnection, HTTPSConnection):
    pass


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


_POOLS = {"http": _TimedPool, "https": _TimedTlsPool}
_lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="key-service-name")


def _renew_lookups() -> None:
    """Replace the threads, which a forked process has not got."""
    global _lookups  # noqa: PLW0603
    _lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="key-service-name")


os.register_at_fork(after_in_child=_renew_lookups)


def _addresses(connection: HTTPConnection) -> list[str]:
    """Return the addresses of the connection's host. Raises TimeoutError, NameResolutionError."""
    host, port = connection._dns_host.strip("[]"), connection.port
    found = _lookups.submit(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
    try:
        return [str(entry[4][0]) for entry in found.result(time_left())]
    except TimeoutError:
        found.cancel()  # nobody waits for it any more
        raise
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error


class _TimedAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        _thread.retry_after = 0.0
        answer = super().send(request, **options | {"timeout": Timeout(total=time_left())})
        _thread.retry_after = _seconds(answer.headers.get("Retry-After", ""))
        # We ask for none: what is small here may be without end when it is unpacked.
        answer.raw.headers.pop("Content-Encoding", None)
        return answer


def retry_after() -> float:
    """Return how many seconds this thread's last answer asks to be left alone for (Retry-After)."""
    return float(getattr(_thread, "retry_after", 0.0))


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def cause(error: object, kind: type[E]) -> E | None:
    """Return the error of that kind that led to `error`, however it is wrapped."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        if isinstance(each, kind):
            return each
        seen.add(id(each))
        waiting += [*each.args, each.__cause__, each.__context__, getattr(each, "reason", None)]
    return None


def is_late(error: Exception) -> bool:
    """Return whether a call failed because its time was over."""
    return isinstance(error, requests.Timeout) or cause(error, TimeoutError) is not None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add no credentials: without this, those of a ~/.netrc would take the place of ours."""
    return request


def timed_session(connections: int) -> requests.Session:
    """Return a session whose calls are to be made under a `time_limit`, and no redirect followed.

    `connections`: how many threads may call at once.
    """
    session = requests.Session()
    session.headers.clear()
    session.auth = _as_it_is
    for scheme in ("https://", "http://"):
        session.mount(scheme, _TimedAdapter(pool_connections=1, pool_maxsize=connections))
    return session
