"""One request and its response: also where the application fails."""

import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from fugata_server.arrival import ArrivalState
from fugata_server.connection import Connection
from fugata_server.exchange import Exchange

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
Application = Callable[..., Iterable[bytes]]


class Client:
    """Sends a request to an application and reads the response."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self._theirs = theirs
        self.connection = Connection(Config(), ours, ("192.0.2.1", 1), ("192.0.2.9", 80))
        self.logged: list[str] = []

    def ask(self, application: Application, data: bytes = REQUEST, alive: bool = True) -> bool:
        """Return whether the connection is kept open. Raises what the exchange raises."""
        assert self.connection.arrival.add(data) is not ArrivalState.HEAD
        self.connection.sock.allow(5)
        log = SimpleNamespace(access=lambda *_: None, exception=self.logged.append)
        worker = SimpleNamespace(wsgi=application, cfg=Config(), log=log, alive=alive)
        return Exchange(worker, self.connection).run()

    def received(self) -> bytes:
        """Return what has come back."""
        return self._theirs.recv(65536)


@pytest.fixture
def client() -> Iterator[Client]:
    ours, theirs = socket.socketpair()
    with theirs:
        made = Client(ours, theirs)
        yield made
        made.connection.sock.close()


def says(body: bytes) -> Application:
    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return application


def fails(error: BaseException, after: bytes = b"") -> Application:
    def application(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        if after:
            start("200 OK", [("Content-Length", "100")])
            yield after
        raise error

    return application


def test_a_response(client: Client) -> None:
    assert client.ask(says(b"well"))
    assert client.received().endswith(b"\r\n\r\nwell")


def test_the_last_response_of_a_process_that_stops(client: Client) -> None:
    assert not client.ask(says(b"well"), alive=False)
    assert b"Connection: close" in client.received()


def test_a_body_that_was_not_read(client: Client) -> None:
    """Where the next request begins can't be known."""
    data = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"
    assert not client.ask(says(b"well"), data)
    assert b"Connection: close" in client.received()


@pytest.mark.parametrize("error", [ValueError("s3cret"), OSError(errno.ENOSPC, "s3cret")])
def test_an_application_that_fails(client: Client, error: Exception) -> None:
    assert not client.ask(fails(error))
    received = client.received()
    assert received.startswith(b"HTTP/1.1 500 ")
    assert received.endswith(b'{"error": "Internal server error"}')
    assert len(client.logged) == 1


def test_an_application_that_fails_in_the_middle(client: Client) -> None:
    """Nothing is added to what it began."""
    assert not client.ask(fails(ValueError(), after=b"half"))
    assert client.received().endswith(b"\r\n\r\nhalf")


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError(), TimeoutError()])
def test_a_client_that_is_gone_is_no_error(client: Client, error: Exception) -> None:
    with pytest.raises(type(error)):
        client.ask(fails(error))
    assert client.logged == []
