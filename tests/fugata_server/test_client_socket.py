"""A client's connection: a thread waits for the client until one moment, whatever comes in."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fugata_core.limits import Discard
from fugata_server.body import RequestBody
from fugata_server.client_socket import ClientSocket
from fugata_server.request_buffer import discard
from tests.fugata_server.test_request_buffer import request

#: Bytes that are sent one by one: far more than fit into the time that a test allows.
MANY, PACE = 200, 0.02


@pytest.fixture
def pair() -> Iterator[tuple[ClientSocket, socket.socket]]:
    """Our end of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    with ClientSocket.of(ours) as mine, theirs:
        yield mine, theirs


@contextmanager
def trickling(client: socket.socket) -> Iterator[threading.Event]:
    """Send MANY bytes one by one meanwhile, then hang up; the event says that it came to that."""
    stop, ended = threading.Event(), threading.Event()

    def trickle() -> None:
        for _ in range(MANY):
            if stop.wait(PACE):
                return
            client.sendall(b" ")
        ended.set()
        client.shutdown(socket.SHUT_RDWR)

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        yield ended
    finally:
        stop.set()
        sender.join()


def test_no_byte_extends_the_deadline(pair: tuple[ClientSocket, socket.socket]) -> None:
    mine, theirs = pair
    mine.allow(0.3)
    with trickling(theirs) as ended:
        with pytest.raises(TimeoutError):
            list(iter(lambda: mine.recv(1), b""))
        assert not ended.is_set()


def test_a_client_that_is_silent(pair: tuple[ClientSocket, socket.socket]) -> None:
    mine, _ = pair
    mine.allow(0.1)
    with pytest.raises(TimeoutError):
        mine.recv(1)


def test_a_lower_deadline_for_a_while(pair: tuple[ClientSocket, socket.socket]) -> None:
    mine, theirs = pair
    mine.allow(60)
    with mine.at_most(0.1), pytest.raises(TimeoutError):
        mine.recv(1)
    theirs.sendall(b"x")
    assert mine.recv(1) == b"x"


def test_nothing_is_received_after_the_deadline(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    """Even what is there: a client that sends fast enough would go on for ever."""
    mine, theirs = pair
    theirs.sendall(b"x")
    mine.allow(0)
    with pytest.raises(TimeoutError):
        mine.recv(1)


def test_a_reader_is_not_awaited_after_the_deadline(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    mine, _ = pair
    mine.allow(0)
    mine.sendall(b"what the kernel takes at once")
    with pytest.raises(BrokenPipeError):
        mine.sendall(b"x" * 2**24)


def test_who_trickles_what_is_thrown_away(pair: tuple[ClientSocket, socket.socket]) -> None:
    mine, theirs = pair
    mine.allow(60)
    asked = request(RequestBody(mine, 10**8), 10**8)
    asked.META["gunicorn.socket"] = mine
    with trickling(theirs) as ended:
        discard(asked, Discard(2**20, 0.3))
        assert not ended.is_set()
