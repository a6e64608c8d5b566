"""The web process: threads that wait together for clients, and answer one request at a time each.

fugata_server/README.md explains it. It builds on gunicorn's `Worker`, parser and WSGI response.
"""

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from gunicorn.errors import ConfigError
from gunicorn.workers.base import Worker as BaseWorker

from fugata_core.errors import BodyTooSlow, FugataError, Overloaded
from fugata_core.limits import (
    HEAD_TIMEOUT,
    IDLE_TIMEOUT,
    LINGER_TIMEOUT,
    THREADS,
    observe_wait,
)
from fugata_server.admission import Admission
from fugata_server.arrival import ArrivalState
from fugata_server.body import STEP
from fugata_server.connection import Connection
from fugata_server.exchange import Exchange
from fugata_server.refusals import HeadTooSlow, as_bytes
from fugata_server.waiting import Event, Waiting

#: Seconds after which the main thread looks again for what is overdue, or what nobody takes.
TICK = 0.1
#: Seconds that an idle connection is kept when the process stops: a request may be on its way.
STOP_LINGER = 2.0
#: Bytes that are read and dropped of a client that was told "close", within LINGER_TIMEOUT.
MAX_DRAINED = 64 * 1024
#: Maximum bytes of unfinished requests, of all connections together.
MAX_BUFFERED = 32 * 2**20
#: File descriptors kept free for the threads once there was none left for a connection.
SPARE_DESCRIPTORS = 16

Answer = Callable[[Connection], None]


class Worker(BaseWorker):  # type: ignore[misc]
    """Threads that each take what has arrived on a connection, and answer when it is enough."""

    alive: bool

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker does not support. Raises ConfigError."""
        if cfg.is_ssl or cfg.http2_cleartext != "off" or cfg.proxy_protocol != "off":
            raise ConfigError("Fugata's worker speaks plain HTTP/1.1: a proxy ends TLS and HTTP/2.")

    # --- The main thread -------------------------------------------------------------------------

    def init_process(self) -> None:
        """Start, after the fork."""
        self._waiting = Waiting(self.sockets, self.cfg.threads)
        self._large_bodies = Admission[Connection](self.cfg.threads)
        self._most_connections = self.cfg.worker_connections
        super().init_process()

    def run(self) -> None:
        """Run until told to stop, and then until the requests that began are answered."""
        for number in range(self.cfg.threads):
            threading.Thread(target=self._work, name=f"request-{number}", daemon=True).start()
        while self.alive and self.ppid == os.getppid():
            self._tick()
        self.alive = False
        self._waiting.stop_listening()
        self._cap_idle()
        stop = time.monotonic() + self.cfg.graceful_timeout
        while len(self._waiting) and time.monotonic() < stop:
            self._tick()

    def _tick(self) -> None:
        self.notify()
        now = time.monotonic()
        for late in self._large_bodies.remove_overdue(now):
            self._refuse(late, Overloaded())
        for late in self._waiting.take_overdue(now):
            self._expire(late)
        while time.monotonic() < now + TICK and (events := self._waiting.take_all()):
            for event in events:
                self._on_event(event, self._pass_on)
        select.select([self.PIPE[0]], [], [], TICK)  # a signal writes to it
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)

    def _pass_on(self, connection: Connection) -> None:
        """All threads are busy: answer a probe here, queue any other request for them."""
        if connection.arrival.is_probe():
            self._answer(connection, seconds=0.0)
        else:
            self._waiting.put_ready(connection)

    def _expire(self, connection: Connection) -> None:
        if connection.group is not self._waiting.arriving:
            self._waiting.close(connection)
        elif connection.arrival.state is ArrivalState.BODY:
            self._refuse(connection, BodyTooSlow())
        else:
            self._refuse(connection, HeadTooSlow())

    def _cap_idle(self) -> None:
        deadline = time.monotonic() + STOP_LINGER
        for connection in list(self._waiting.idle):
            connection.deadline = min(connection.deadline, deadline)

    # --- A thread: from an event to a request ----------------------------------------------------

    def _work(self) -> None:
        while True:
            event = self._waiting.next()
            if isinstance(event, Connection) and event.ready_since is not None:
                self._answer(event, settings.REQUEST_TIMEOUT)
            elif event is not None:
                self._on_event(event, partial(self._answer, seconds=settings.REQUEST_TIMEOUT))

    def _on_event(self, event: Event, answer: Answer) -> None:
        """Do what can be done without waiting; `answer` is for a request that has arrived."""
        connection = event if isinstance(event, Connection) else self._accept(event)
        if connection is not None:
            try:
                self._on_readable(connection, answer)
            except Exception:
                self.log.exception("Error in the web process")
                self._waiting.close(connection)

    def _accept(self, listener: socket.socket) -> Connection | None:
        """Accept a connection; close the one that has waited longest when there are too many."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            self._accept_failed(error)
            return None
        finally:
            self._waiting.listen(listener)
        connection = Connection(self.cfg, accepted, client, accepted.getsockname())
        self._waiting.add(connection, self.cfg.keepalive)
        if len(self._waiting) >= self._most_connections:
            self._close_oldest()
        return connection

    def _accept_failed(self, error: OSError) -> None:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            self.log.warning("No file descriptor is left for a connection: see `ulimit -n`")
            # Lower the limit from now on: the requests being served may need files too.
            count = len(self._waiting)
            spare = min(SPARE_DESCRIPTORS, count // 2)
            self._most_connections = max(count - spare, 2)
            for _ in range(spare + 1):
                self._close_oldest()
        elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EBADF):
            self.log.error("A connection could not be accepted: %s", error.strerror)

    def _close_oldest(self) -> None:
        waiting = self._waiting
        if oldest := waiting.take_oldest(waiting.lingering, waiting.idle, waiting.arriving):
            waiting.close(oldest)

    def _on_readable(self, connection: Connection, answer: Answer) -> None:
        try:
            data = connection.sock.read_now(STEP)
        except BlockingIOError:
            self._waiting.give_back(connection)
            return
        except OSError:
            self._waiting.close(connection)
            return
        if connection.group is self._waiting.lingering:
            self._drain(connection, data)
        elif data:
            self._on_data(connection, data, answer)
        else:
            self._on_eof(connection, answer)

    def _on_data(self, connection: Connection, data: bytes, answer: Answer) -> None:
        try:
            state = connection.arrival.add(data)
        except FugataError as refusal:
            self._refuse(connection, refusal)
            return
        if state is ArrivalState.WHOLE:
            answer(connection)
        elif state is ArrivalState.LARGE:
            self._enqueue_large(connection)
        else:
            self._await_rest(connection, state)

    def _on_eof(self, connection: Connection, answer: Answer) -> None:
        """Handle the end of the client's data: a thread answers an incomplete body."""
        body = connection.arrival.body
        if body is None:
            self._waiting.close(connection)
        else:
            body.cut_off()
            answer(connection)

    def _await_rest(self, connection: Connection, state: ArrivalState) -> None:
        waiting = self._waiting
        if state is ArrivalState.BODY and not connection.awaits_body:
            connection.awaits_body = True
            waiting.move(connection, waiting.arriving, IDLE_TIMEOUT)
        elif connection.group is not waiting.arriving:
            waiting.move(connection, waiting.arriving, HEAD_TIMEOUT)
        else:
            waiting.give_back(connection)
        if waiting.buffered > MAX_BUFFERED and (oldest := waiting.take_oldest(waiting.arriving)):
            waiting.close(oldest)

    # --- Large bodies ----------------------------------------------------------------------------

    def _enqueue_large(self, connection: Connection) -> None:
        """Queue a request with a large body until its turn; refuse it if the queue is full."""
        self._waiting.leave(connection)
        connection.is_huge = connection.arrival.is_huge()
        if self._large_bodies.enqueue(connection):
            self._admit()
        else:
            self._refuse(connection, Overloaded())

    def _admit(self) -> None:
        while connection := self._large_bodies.admit():
            connection.is_large = True
            self._waiting.put_ready(connection)

    # --- A thread: from a request to its response, and after -------------------------------------

    def _answer(self, connection: Connection, seconds: float) -> None:
        """Answer a request; waiting for the client ends after `seconds`."""
        self._waiting.leave(connection)
        observe_wait(THREADS, connection.waited())
        self._count_request()
        connection.sock.allow(seconds)
        try:
            kept = Exchange(self, connection).run()
        except OSError as error:
            self.log.debug("The client is gone: %s", error)
            kept = False
        finally:
            self._release(connection)
        if kept:
            self._await_next_request(connection)
        else:
            self._half_close(connection)

    def _count_request(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Restarting after %d requests", self.nr)
            self.alive = False

    def _release(self, connection: Connection) -> None:
        if connection.is_large:
            connection.is_large = False
            self._large_bodies.release(connection)
            self._admit()

    def _await_next_request(self, connection: Connection) -> None:
        """Wait for the next request, which may be here already (RFC 9112, section 9.3.2)."""
        body = connection.arrival.body
        connection.begin()
        self._waiting.join(connection, self._waiting.idle, self._idle_seconds())
        if body and body.ahead:
            self._on_data(connection, body.ahead, self._waiting.put_ready)
        else:
            self._waiting.give_back(connection)

    def _idle_seconds(self) -> float:
        return self.cfg.keepalive if self.alive else STOP_LINGER

    def _refuse(self, connection: Connection, error: FugataError) -> None:
        with suppress(OSError):
            connection.sock.send(as_bytes(error))
        self._half_close(connection)

    def _half_close(self, connection: Connection) -> None:
        """Close our side and await the client's for a moment: else it might miss the response."""
        connection.begin()
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._waiting.close(connection)
            return
        self._waiting.move(connection, self._waiting.lingering, LINGER_TIMEOUT)

    def _drain(self, connection: Connection, data: bytes) -> None:
        connection.drained += len(data)
        if not data or connection.drained > MAX_DRAINED:
            self._waiting.close(connection)
        else:
            self._waiting.give_back(connection)
