"""gunicorn's threaded worker, with a poller that waits for slow clients so that no thread has to.

A connection gets a thread when its request has arrived: the head, and the body or the first 64 KiB
of it. Requests with larger bodies share a quarter of the threads. A client that does not send, or
does not close, costs one entry in the poller until its deadline; when there are too many, those
that have been there longest are closed.
"""

import errno
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from selectors import EVENT_READ
from typing import Any

from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from fugata_core.backpressure import reserve
from fugata_core.errors import BodyTooSlow, FugataError, Overloaded
from fugata_core.limits import (
    HEAD_TIMEOUT,
    IDLE_TIMEOUT,
    LINGER_TIMEOUT,
    PROBE_THREADS,
    THREADS,
    observe_wait,
)
from fugata_server.admission import Admission
from fugata_server.arrival import Arrival, ArrivalState
from fugata_server.client_socket import ClientSocket
from fugata_server.refusals import HeadTooLong, HeadTooSlow, as_bytes

#: Bytes that are read and dropped of a client that was told "close", within LINGER_TIMEOUT.
MAX_DRAINED = 64 * 1024
#: Maximum bytes of unfinished requests, of all connections together.
MAX_BUFFERED = 32 * 2**20
#: File descriptors kept free for the threads once there was none left for a connection.
SPARE_DESCRIPTORS = 16
_STEP = 64 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Group = dict["Connection", None]


class Connection(TConn):  # type: ignore[misc]
    """A connection, and what has arrived on it."""

    def __init__(self, cfg: Any, accepted: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, ClientSocket.of(accepted), client, server)
        self.begin()
        #: Where it waits, since when and until when. No group: it has a thread, is queued for one,
        #: or is closed.
        self.group: Group | None = None
        self.since = self.deadline = 0.0
        self.is_watched = self.is_large = self.is_huge = False
        self.drained = 0

    def begin(self) -> None:
        """Reset for the next request."""
        self.arrival = Arrival()
        self.awaits_body = self.was_continued = False


class Worker(ThreadWorker):  # type: ignore[misc]
    """Keeps connections in the poller until a request has arrived on them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: In order of arrival: between two requests; sending one; waiting for the client to close.
        self._idle: Group = {}
        self._arriving: Group = {}
        self._lingering: Group = {}
        self._large_bodies = Admission[Connection](self.cfg.threads)
        self._buffered_bytes = 0
        self._last_sweep = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker does not support. Raises ConfigError."""
        if cfg.is_ssl or cfg.http2_cleartext != "off" or cfg.proxy_protocol != "off":
            raise ConfigError("Fugata's worker speaks plain HTTP/1.1: a proxy ends TLS and HTTP/2.")

    def init_process(self) -> None:
        """Start; health checks have a thread of their own."""
        self._probes = ThreadPoolExecutor(max_workers=PROBE_THREADS)
        super().init_process()

    # --- From the listener to a thread -----------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """Accept a connection; close the one that has waited longest when there are too many."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            self._accept_failed(error)
            return
        if self.nr_conns >= self.worker_connections - 1:
            self._close_oldest()
        self.nr_conns += 1
        connection = Connection(self.cfg, accepted, client, listener.getsockname())
        self._move_to(connection, self._idle, self.cfg.keepalive)

    def _accept_failed(self, error: OSError) -> None:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            self.log.warning("No file descriptor is left for a connection: see `ulimit -n`")
            # Lower the limit from now on: the requests being served may need files too.
            spare = min(SPARE_DESCRIPTORS, self.nr_conns // 2)
            self.worker_connections = max(self.nr_conns - spare, 2)
            for _ in range(spare + 1):
                self._close_oldest()
        elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
            raise error

    def _move_to(self, connection: Connection, group: Group, seconds: float) -> None:
        """Have the poller watch a connection as one of `group`."""
        if connection.group is not None:
            del connection.group[connection]
        if not connection.is_watched:
            connection.is_watched = True
            watched = partial(self._on_readable, connection)
            self.poller.register(connection.sock, EVENT_READ, watched)
        connection.group = group
        connection.since = time.monotonic()
        connection.deadline = connection.since + seconds
        group[connection] = None

    def _leave_group(self, connection: Connection) -> None:
        """Remove it from its group. It stays watched: most clients send nothing before the
        response, and that saves two system calls per request.
        """
        if connection.group is not None:
            del connection.group[connection]
            connection.group = None
            self._buffered_bytes -= len(connection.arrival.data)

    def _unwatch(self, connection: Connection) -> None:
        if connection.is_watched:
            connection.is_watched = False
            self.poller.unregister(connection.sock)

    def _on_readable(self, connection: Connection, _: Any) -> None:
        if connection.group is None:  # a thread has it, or it was closed in the same round
            self._unwatch(connection)
            return
        try:
            data = connection.sock.read_now(_STEP)
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        if connection.group is self._lingering:
            self._drain(connection, data)
        elif data:
            self._buffered_bytes += len(data)
            self._on_data(connection, data)
        else:
            self._on_eof(connection)

    def _on_data(self, connection: Connection, data: bytes) -> None:
        state = connection.arrival.add(data)
        if state is ArrivalState.WHOLE:
            self._hand_over(connection)
        elif state is ArrivalState.LARGE:
            self._enqueue_large(connection)
        elif state is ArrivalState.TOO_LONG:
            self._refuse(connection, HeadTooLong())
        else:
            self._await_rest(connection, state)

    def _await_rest(self, connection: Connection, state: ArrivalState) -> None:
        if connection.group is not self._arriving:
            self._move_to(connection, self._arriving, HEAD_TIMEOUT)
        if state is ArrivalState.BODY and not connection.awaits_body:
            connection.awaits_body = True
            connection.deadline = time.monotonic() + IDLE_TIMEOUT
            if connection.arrival.expects_continue:
                self._send_continue(connection)
        if self._buffered_bytes > MAX_BUFFERED and self._arriving:
            self._close(next(iter(self._arriving)))

    def _send_continue(self, connection: Connection) -> None:
        """Send "100 Continue" (RFC 9110, section 10.1.1) before there is a thread to send it."""
        connection.was_continued = True
        try:
            connection.sock.send(_CONTINUE)
        except OSError:
            self._close(connection)

    def _on_eof(self, connection: Connection) -> None:
        """Handle the end of the client's data: a thread answers an incomplete body."""
        if connection.arrival.state is ArrivalState.BODY:
            self._hand_over(connection)
        else:
            self._close(connection)

    def _hand_over(self, connection: Connection) -> None:
        self._leave_group(connection)
        connection.init()
        connection.parser.unreader.unread(bytes(connection.arrival.data))
        self.enqueue_req(connection)

    def enqueue_req(self, conn: Connection) -> None:
        """Give the connection a thread."""
        pool, task = self.tpool, partial(self._handle_queued, conn, time.monotonic())
        if conn.arrival.is_probe():
            pool, task = self._probes, partial(self.handle, conn)
        conn.arrival.data.clear()
        future = pool.submit(task)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    # --- Large bodies ----------------------------------------------------------------------------

    def _enqueue_large(self, connection: Connection) -> None:
        """Queue a request with a large body until its turn; refuse it if the queue is full."""
        held, connection.is_huge = len(connection.arrival.data), connection.arrival.is_huge()
        if not self._large_bodies.enqueue(connection):
            self._refuse(connection, Overloaded())
            return
        self._leave_group(connection)
        self._buffered_bytes += held
        self._admit()

    def _admit(self) -> None:
        while connection := self._large_bodies.admit():
            self._buffered_bytes -= len(connection.arrival.data)
            connection.is_large = True
            connection.sock.may_be_huge = connection.is_huge
            self._hand_over(connection)

    # --- From a thread back ----------------------------------------------------------------------

    def _handle_queued(self, connection: Connection, since: float) -> bool:
        observe_wait(THREADS, time.monotonic() - since)
        return self.handle(connection)

    def handle(self, conn: Connection) -> bool:
        """Answer a request, in a thread; return whether the connection is kept open."""
        reserve.set(conn.sock.reserve)
        try:
            return bool(super().handle(conn))
        finally:
            conn.sock.release_reader_place()

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """Answer a request; "100 Continue" is sent only once."""
        if conn.was_continued:
            req._expected_100_continue = False
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: Connection, fs: "Future[bool]") -> None:
        """Wait for the next request, or for the client to close."""
        if conn.is_large:
            conn.is_large = conn.sock.may_be_huge = False
            self._large_bodies.release(conn)
            self._admit()
        try:
            kept = not fs.cancelled() and fs.result()
        except Exception:  # as in gunicorn: whatever the thread raised
            self._close(conn)
            return
        if kept:
            self._await_next_request(conn)
        else:
            self._half_close(conn)

    def _await_next_request(self, connection: Connection) -> None:
        connection.begin()
        lingers = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        self._move_to(connection, self._idle, lingers)
        # Requests may be pipelined: the thread may have read into the next one.
        if ahead := connection.parser.unreader.take_buffered():
            self._buffered_bytes += len(ahead)
            self._on_data(connection, ahead)

    # --- The end of a connection -----------------------------------------------------------------

    def _refuse(self, connection: Connection, error: FugataError) -> None:
        with suppress(OSError):
            connection.sock.send(as_bytes(error))
        self._half_close(connection)

    def _half_close(self, connection: Connection) -> None:
        """Close our side and await the client's for a moment: else it might miss the response."""
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
            return
        self._buffered_bytes -= len(connection.arrival.data) if connection.group is not None else 0
        connection.arrival.data.clear()
        self._move_to(connection, self._lingering, LINGER_TIMEOUT)

    def _drain(self, connection: Connection, data: bytes) -> None:
        connection.drained += len(data)
        if not data or connection.drained > MAX_DRAINED:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._leave_group(connection)
        self._unwatch(connection)
        self.nr_conns -= 1
        connection.close()

    def _close_oldest(self) -> None:
        """Close the connection that has been waiting longest."""
        groups = (self._lingering, self._idle, self._arriving)
        oldest = [next(iter(group)) for group in groups if group]
        if oldest:
            self._close(min(oldest, key=lambda connection: connection.since))

    def murder_pending(self) -> None:
        """Close what is past its deadline; gunicorn's loop calls this each time."""
        now = time.monotonic()
        if now - self._last_sweep < 0.5:
            return
        self._last_sweep = now
        for late in self._large_bodies.remove_overdue(now):
            self._buffered_bytes -= len(late.arrival.data)
            self._refuse(late, Overloaded())
        waiting = chain(self._idle, self._arriving, self._lingering)
        for connection in [each for each in waiting if each.deadline <= now]:
            self._expire(connection)

    def _expire(self, connection: Connection) -> None:
        if connection.group is not self._arriving:
            self._close(connection)
        elif connection.arrival.state is ArrivalState.BODY:
            self._refuse(connection, BodyTooSlow())
        else:
            self._refuse(connection, HeadTooSlow())

    def _cap_keepalive(self, deadline: float) -> None:
        """Cap the deadlines of idle connections at `deadline`, when the worker stops."""
        for connection in self._idle:
            connection.deadline = min(connection.deadline, deadline)
