"""The connections that wait for their clients, watched by all threads at once.

Each is watched for one event (EPOLLONESHOT): the thread that takes the event takes the connection,
and gives it back when it has done what it could. Nothing here waits for one client.
"""

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from heapq import merge
from itertools import chain

from fugata_server.connection import Connection

Group = dict[Connection, None]
#: A connection that now belongs to the thread that was told, or a listener that can accept.
Event = Connection | socket.socket

#: While more threads than this are at work, one that asks for more pauses for YIELD seconds. It
#: holds the interpreter's lock, and would keep it: requests that have begun come first.
FEW_AT_WORK, YIELD = 2, 0.00002
#: Events that the main thread takes at a time: between them it looks at the clock.
FEW_EVENTS = 16
_ONCE = select.EPOLLIN | select.EPOLLONESHOT


class Waiting:
    """Who waits for what, in order of arrival, and the requests that are ready for a thread."""

    def __init__(self, listeners: Sequence[socket.socket], threads: int) -> None:
        self._threads = threads
        #: Between two requests; sending one; about to close.
        self.idle: Group = {}
        self.arriving: Group = {}
        self.lingering: Group = {}
        #: Bytes of unfinished requests, of all connections together.
        self.buffered = 0
        self._counting = threading.Lock()
        self._epoll = select.epoll()
        self._ready: deque[Connection] = deque()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._alarm, select.EPOLLIN)
        self._pollers: set[int] = set()
        self._connections: dict[int, Connection] = {}
        self._listeners = {listener.fileno(): listener for listener in listeners}
        for listener in listeners:
            listener.setblocking(False)
            self._epoll.register(listener, _ONCE)

    def __len__(self) -> int:
        """How many connections there are, those that have a thread included."""
        return len(self._connections)

    # --- Taking ----------------------------------------------------------------------------------

    def next(self) -> Event | None:
        """Wait for a request that is ready or something to read; None: there was nothing."""
        me = threading.get_ident()
        self._pollers.add(me)
        try:
            return self._next_ready() or self._polled()
        finally:
            self._pollers.discard(me)

    def _polled(self) -> Event | None:
        if self._threads - len(self._pollers) > FEW_AT_WORK:
            time.sleep(YIELD)
        events = self._epoll.poll(maxevents=1)
        return self._taken(events[0][0]) if events else None

    def take_all(self) -> list[Event]:
        """Take what can be read from or accepted now, if no thread is free to do that."""
        events = [] if self._pollers else self._epoll.poll(0, FEW_EVENTS)
        taken = (self._taken(descriptor) for descriptor, _ in events if descriptor != self._alarm)
        return [event for event in taken if event is not None]

    def _next_ready(self) -> Connection | None:
        try:
            connection = self._ready.popleft()
        except IndexError:
            return None
        if self._ready and len(self._pollers) > 1:
            os.eventfd_write(self._alarm, 1)
        return connection

    def _taken(self, descriptor: int) -> Event | None:
        if descriptor == self._alarm:
            with suppress(BlockingIOError):
                os.eventfd_read(self._alarm)
            return None
        if listener := self._listeners.get(descriptor):
            return listener
        connection = self._connections.get(descriptor)
        return connection if connection and self.take(connection) else None

    def take(self, connection: Connection) -> bool:
        """Make a connection the caller's; return False if it is another thread's."""
        return connection.owner.acquire(blocking=False)

    # --- Giving back -----------------------------------------------------------------------------

    def put_ready(self, connection: Connection) -> None:
        """Have the next free thread answer the request, ahead of what is read meanwhile."""
        self.leave(connection)
        self.count(connection, connection.arrival.size)
        connection.ready_since = time.monotonic()
        self._ready.append(connection)
        os.eventfd_write(self._alarm, 1)

    def add(self, connection: Connection, seconds: float) -> None:
        """Add a connection that was just accepted, idle for `seconds` at most, and keep it."""
        descriptor = connection.sock.fileno()
        self._connections[descriptor] = connection
        # Not watched yet, but known while nobody else can close it and have its number reused.
        self._epoll.register(descriptor, select.EPOLLONESHOT)
        self.join(connection, self.idle, seconds)

    def move(self, connection: Connection, group: Group, seconds: float) -> None:
        """Give a connection back as one of `group`, to be there for `seconds` at most."""
        self.join(connection, group, seconds)
        self.give_back(connection)

    def join(self, connection: Connection, group: Group, seconds: float) -> None:
        """Put a connection into `group`, and keep it."""
        self.leave(connection)
        connection.group = group
        connection.since = time.monotonic()
        connection.deadline = connection.since + seconds
        group[connection] = None

    def leave(self, connection: Connection) -> None:
        """Take a connection out of its group."""
        if connection.group is not None:
            connection.group.pop(connection, None)
            connection.group = None

    def give_back(self, connection: Connection) -> None:
        """Watch a connection for one event; from now on any thread may take it."""
        self.count(connection, connection.arrival.size)
        descriptor = connection.sock.fileno()
        connection.owner.release()
        with suppress(OSError, ValueError):  # another thread took it and closed it
            self._epoll.modify(descriptor, _ONCE)

    def count(self, connection: Connection, size: int) -> None:
        """Count `size` bytes of its request as buffered, instead of what was counted before."""
        if size != connection.buffered:
            with self._counting:
                self.buffered += size - connection.buffered
            connection.buffered = size

    def listen(self) -> None:
        """Watch all listeners for one more connection."""
        for listener in list(self._listeners.values()):
            with suppress(OSError, ValueError):  # it was closed: the process stops
                self._epoll.modify(listener, _ONCE)

    def close(self, connection: Connection) -> None:
        """Close a connection for good: nobody can take it any more."""
        self.leave(connection)
        self.count(connection, 0)
        self._connections.pop(connection.sock.fileno(), None)
        connection.sock.close()

    def stop_listening(self) -> None:
        """Accept no more connections."""
        for listener in self._listeners.values():
            with suppress(OSError, ValueError):  # the parent has it too, so closing is not enough
                self._epoll.unregister(listener)
            listener.close()
        self._listeners.clear()

    # --- Deadlines -------------------------------------------------------------------------------

    def take_overdue(self, now: float) -> Iterator[Connection]:
        """Take and yield those whose time is up."""
        for connection in chain(*map(list, (self.idle, self.arriving, self.lingering))):
            if connection.deadline <= now and self.take(connection):
                if connection.deadline <= now:
                    yield connection
                else:  # it was answered meanwhile
                    self.give_back(connection)

    def take_oldest(self, *groups: Group) -> Connection | None:
        """Take the one that has been in these groups longest, or None."""
        for connection in merge(*map(list, groups), key=lambda each: each.since):
            if self.take(connection):
                return connection
        return None
