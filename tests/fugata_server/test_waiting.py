"""Connections that wait: each belongs to one thread at a time, and no event is lost."""

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from gunicorn.config import Config

from fugata_server.connection import Connection
from fugata_server.waiting import Waiting
from tests.support.servers.parts import wait_until

THREADS = 4


class Place:
    """A `Waiting` with connections on socket pairs; clients by connection."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.waiting = Waiting([self.listener], THREADS)
        self.clients: dict[Connection, socket.socket] = {}

    def connect(self) -> Connection:
        """Add a connection, which belongs to the caller."""
        ours, theirs = socket.socketpair()
        connection = Connection(Config(), ours, ("192.0.2.1", 1), ("192.0.2.9", 80))
        self.clients[connection] = self._stack.enter_context(theirs)
        self._stack.callback(connection.sock.close)
        self.waiting.add(connection, 30)
        return connection

    def next(self) -> object:
        """Return the next event; fail rather than wait for ever."""
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(self.waiting.next()), daemon=True)
        thread.start()
        thread.join(10)
        return found[0] if found else "nothing"


@pytest.fixture
def place() -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack)


def test_what_arrives_before_it_is_watched_is_seen(place: Place) -> None:
    connection = place.connect()
    place.clients[connection].sendall(b"x")
    assert not place.waiting.take(connection), "it belongs to its maker"
    place.waiting.give_back(connection)
    assert place.next() is connection
    assert not place.waiting.take(connection)


def test_an_event_while_another_has_it_is_not_lost(place: Place) -> None:
    """A thread took it to look at its deadline; meanwhile its client sent something."""
    connection = place.connect()
    place.waiting.give_back(connection)
    assert place.waiting.take(connection)
    place.clients[connection].sendall(b"x")
    assert place.next() is None
    place.waiting.give_back(connection)
    assert place.next() is connection


def test_a_number_that_is_used_again(place: Place) -> None:
    """The next connection gets the file descriptor of one that was closed."""
    first = place.connect()
    number = first.sock.fileno()
    place.waiting.close(first)
    others = [place.connect() for _ in range(3)]
    assert number in [each.sock.fileno() for each in others]
    for each in others:
        place.waiting.give_back(each)
        place.clients[each].sendall(b"x")
    assert {place.next() for _ in others} == set(others)


def test_ready_requests_wake_as_many_as_there_are(place: Place) -> None:
    """All sleepers are woken, though the alarm was read but once."""
    connections = [place.connect() for _ in range(THREADS)]
    taken: list[object] = []

    def work() -> None:
        while (event := place.waiting.next()) is None:
            pass
        taken.append(event)

    threads = [threading.Thread(target=work, daemon=True) for _ in connections]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(place.waiting._pollers) == THREADS, "sleepers")
    for connection in connections:
        place.waiting.put_ready(connection)
    for thread in threads:
        thread.join(10)
    assert set(taken) == set(connections)


def test_ready_requests_come_first_and_in_order(place: Place) -> None:
    reading = place.connect()
    place.waiting.give_back(reading)
    place.clients[reading].sendall(b"x")
    ready = [place.connect() for _ in range(3)]
    for connection in ready:
        place.waiting.put_ready(connection)
    assert [place.next() for _ in ready] == ready
    assert reading in (place.next(), place.next()), "after the alarm"


def test_the_main_thread_takes_only_what_nobody_else_would(place: Place) -> None:
    connection = place.connect()
    place.waiting.give_back(connection)
    sleeper = threading.Thread(target=place.waiting.next, daemon=True)
    sleeper.start()
    wait_until(lambda: bool(place.waiting._pollers), "a sleeper")
    assert place.waiting.take_all() == []
    place.clients[connection].sendall(b"x")
    sleeper.join(10)
    place.clients[connection].sendall(b"x")
    place.waiting.give_back(connection)
    assert place.waiting.take_all() == [connection]


def test_a_listener_is_told_of_once(place: Place) -> None:
    with socket.create_connection(place.listener.getsockname()):
        assert place.next() is place.listener
        assert place.waiting.take_all() == []
        place.waiting.listen()
        assert place.waiting.take_all() == [place.listener]


def test_who_is_overdue(place: Place) -> None:
    early, late, busy = (place.connect() for _ in range(3))
    place.waiting.move(early, place.waiting.idle, 30)
    place.waiting.move(late, place.waiting.arriving, 60)
    assert list(place.waiting.take_overdue(time.monotonic() + 45)) == [early]
    assert list(place.waiting.take_overdue(math.inf)) == [late], "the others have owners"
    assert busy.group is place.waiting.idle


def test_the_oldest_that_can_be_taken(place: Place) -> None:
    oldest, older, newest = (place.connect() for _ in range(3))
    place.waiting.give_back(older)
    place.waiting.move(newest, place.waiting.arriving, 10)
    groups = (place.waiting.arriving, place.waiting.idle)
    assert place.waiting.take_oldest(*groups) is older
    assert place.waiting.take_oldest(*groups) is newest
    assert place.waiting.take_oldest(*groups) is None
    assert oldest.group is place.waiting.idle


def test_what_is_buffered_is_counted_until_it_has_a_thread(place: Place) -> None:
    connection = place.connect()
    connection.arrival.add(b"GET / HT")
    place.waiting.move(connection, place.waiting.arriving, 10)
    assert place.waiting.buffered == 8
    assert place.waiting.take(connection)
    place.waiting.leave(connection)
    assert place.waiting.buffered == 8
    place.waiting.close(connection)
    assert place.waiting.buffered == 0
    assert len(place.waiting) == 0


def test_nobody_is_accepted_after_the_stop(place: Place) -> None:
    address = place.listener.getsockname()
    place.waiting.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    place.waiting.listen()
    assert place.waiting.take_all() == []


def test_a_thread_that_takes_one_of_many_wakes_the_next(place: Place) -> None:
    """The alarm was read once, for all of them."""
    waiting = place.waiting
    for _ in range(3):
        waiting.put_ready(place.connect())
    assert place.next() is not None, "one of the three"
    assert waiting._polled() is None, "the alarm"
    waiting._pollers = {-1}  # somebody sleeps
    assert isinstance(place.next(), Connection)
    assert waiting._polled() is None, "another alarm"


def test_a_connection_is_free_before_it_is_watched(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who is told of an event could not take it."""
    connection, free = place.connect(), list[bool]()

    class Epoll:
        def modify(self, *_: object) -> None:
            free.append(not connection.owner.locked())

    monkeypatch.setattr(place.waiting, "_epoll", Epoll())
    place.waiting.give_back(connection)
    assert free == [True]
