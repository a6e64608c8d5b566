"""The load generator: one process, raw sockets, one request in flight per connection.

It shares the cores with what it measures, so it does as little as it can: requests are
rendered beforehand, and answers are checked after the clock has stopped.
"""

import selectors
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns, process_time_ns

Address = tuple[str, int]

STALL_SECONDS = 60.0
LOST = 0  # the "status" of a request that got no answer


@dataclass
class Slice:
    """The results of one list of requests, in the order of that list."""

    statuses: list[int]
    bodies: list[bytes]
    latencies_ns: list[int] = field(default_factory=list)
    wall_ns: int = 0
    generator_cpu_ns: int = 0
    reconnects: int = 0

    def errors(self) -> Counter[str]:
        """Count responses other than 2xx, by status."""
        bad = (status for status in self.statuses if not 200 <= status < 300)
        return Counter(f"status {status}" if status else "no answer" for status in bad)


@dataclass
class Answer:
    """One complete HTTP response."""

    status: int
    body: bytes
    closes: bool


def dechunk(data: bytes) -> bytes | None:
    """Join a chunked body; None while it is incomplete."""
    parts: list[bytes] = []
    at = 0
    while (line_end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line_end].split(b";")[0], 16)
        at = line_end + 2 + size + 2
        if at > len(data):
            return None
        if not size:
            return b"".join(parts)
        parts.append(data[line_end + 2 : line_end + 2 + size])
    return None


def body_of(head: bytes, rest: bytes) -> bytes | None:
    """Return the body from what follows the head; None while it is incomplete."""
    found = head.find(b"\r\ncontent-length:")
    if found >= 0:
        length = int(head[found + 17 :].split(b"\r\n", 1)[0])
        return rest[:length] if len(rest) >= length else None
    if b"\r\ntransfer-encoding: chunked" in head:
        return dechunk(rest)
    return b""


def parse(data: bytes) -> Answer | None:
    """Read one response; None while it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    body = body_of(head, data[end + 4 :])
    if body is None:
        return None
    return Answer(int(head[9:12]), body, b"\r\nconnection: close" in head)


class Connection:
    """One keep-alive connection and the request in flight on it."""

    __slots__ = ("answered", "index", "received", "retried", "sent_at", "sock")

    def __init__(self, address: Address) -> None:
        self.sock = socket.create_connection(address, STALL_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.index = -1
        self.sent_at = 0
        self.received = b""
        self.answered = False  # has carried an answer: the server may close it when idle
        self.retried = False

    def send(self, index: int, request: bytes) -> None:
        """Send one request; block for what does not fit the socket's buffer."""
        self.index = index
        self.received = b""
        self.sent_at = perf_counter_ns()
        sent = self.sock.send(request)
        if sent < len(request):
            self.sock.settimeout(STALL_SECONDS)
            self.sock.sendall(request[sent:])
            self.sock.setblocking(False)


class Driver:
    """Keeps one request in flight on each of its connections to one server."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.selector = selectors.DefaultSelector()
        self.idle: list[Connection] = []
        self.requests: Sequence[bytes] = ()
        self.slice = Slice([], [])
        self.next = self.busy = 0

    def add(self, count: int, greeting: bytes) -> None:
        """Open more connections and get one answer on each, so that a worker has accepted it."""
        before, self.idle = self.idle, [self.open() for _ in range(count)]
        self.run([greeting] * count)
        self.idle += before

    def open(self) -> Connection:
        """Connect and watch."""
        connection = Connection(self.address)
        self.selector.register(connection.sock, selectors.EVENT_READ, connection)
        return connection

    def drop(self, connection: Connection) -> None:
        """Stop watching and close."""
        self.selector.unregister(connection.sock)
        connection.sock.close()

    def close(self) -> None:
        """Close every connection."""
        for key in list(self.selector.get_map().values()):
            self.drop(key.data)
        self.selector.close()

    def run(self, requests: Sequence[bytes]) -> Slice:
        """Send every request once and return when the last answer is in."""
        self.requests, self.next = requests, 0
        self.slice = Slice([LOST] * len(requests), [b""] * len(requests))
        cpu, start = process_time_ns(), perf_counter_ns()
        starting, self.idle = self.idle, []
        for connection in starting:
            self.advance(connection)
        while self.busy:
            self.wait()
        self.slice.wall_ns = perf_counter_ns() - start
        self.slice.generator_cpu_ns = process_time_ns() - cpu
        return self.slice

    def advance(self, connection: Connection) -> None:
        """Give a free connection the next request, or mark it idle."""
        index = self.next
        if index >= len(self.requests):
            self.idle.append(connection)
            return
        self.next += 1
        self.busy += 1
        connection.retried = False
        self.send(connection, index)

    def send(self, connection: Connection, index: int) -> None:
        """Send one request; treat a broken connection as one that closed."""
        try:
            connection.send(index, self.requests[index])
        except OSError:
            self.lost(connection)

    def wait(self) -> None:
        """Read what has arrived; give up on every request after a minute of silence."""
        events = self.selector.select(STALL_SECONDS)
        for key, _ in events:
            self.read(key.data)
        if not events:
            for key in list(self.selector.get_map().values()):
                key.data.retried = True
                self.lost(key.data)

    def read(self, connection: Connection) -> None:
        """Read what one connection has; send its next request when the answer is complete."""
        try:
            data = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lost(connection)
            return
        connection.received += data
        answer = parse(connection.received)
        if answer is not None:
            self.finish(connection, answer)

    def finish(self, connection: Connection, answer: Answer) -> None:
        """Record one answer."""
        self.slice.latencies_ns.append(perf_counter_ns() - connection.sent_at)
        self.slice.statuses[connection.index] = answer.status
        self.slice.bodies[connection.index] = answer.body
        self.busy -= 1
        connection.index = -1
        connection.answered = True
        self.advance(self.reopen(connection) if answer.closes else connection)

    def reopen(self, connection: Connection) -> Connection:
        """Replace a connection that the server closes."""
        self.drop(connection)
        self.slice.reconnects += 1
        return self.open()

    def lost(self, connection: Connection) -> None:
        """Replace a broken connection; retry its request once if it was closed while idle."""
        index = connection.index
        again = connection.answered and not connection.retried and not connection.received
        fresh = self.reopen(connection)
        if index < 0:
            self.idle = [fresh if kept is connection else kept for kept in self.idle]
        elif again:
            fresh.retried = True
            self.send(fresh, index)
        else:
            self.busy -= 1
            self.advance(fresh)
