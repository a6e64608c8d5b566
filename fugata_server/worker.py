"""The web process: threads that wait together for clients, and answer one request at a time each.

fugata_server/README.md explains it. It builds on gunicorn's `Worker`, parser and WSGI response.
"""

import math
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
from fugata_server.acceptor import Acceptor
from fugata_server.admission import Admission
from fugata_server.arrival import ArrivalState
from fugata_server.body import STEP
from fugata_server.connection import Connection
from fugata_server.exchange import CLIENT_IS_GONE, Exchange
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

Answer = Callable[[Connection], None]


class Worker(BaseWorker):  # type: ignore[misc]
    """Threads that each take what has arrived on a connection, and answer when it is enough."""

    alive: bool

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker does not support. Raises ConfigError."""
        if cfg.is_ssl or cfg.http2_cleartext != "off" or cfg.proxy_protocol != "off":
            raise ConfigError("Fugata's worker speaks plain HTTP/1.1: a proxy ends TLS and HTTP/2.")
        if os.environ.get("SCRIPT_NAME"):
            raise ConfigError("SCRIPT_NAME: Fugata has its host to itself, not a path of it.")

    # --- The main thread -------------------------------------------------------------------------

    def init_process(self) -> None:
        """Start, after the fork."""
        self._waiting = Waiting(self.sockets, self.cfg.threads)
        self._acceptor = Acceptor(self._waiting, self.cfg, self.log)
        self._large_bodies = Admission[Connection](settings.WEB_THREADS)
        super().init_process()

    def run(self) -> None:
        """Run until told to stop, and then until the requests that began are answered."""
        for number in range(self.cfg.threads):
            threading.Thread(target=self._work, name=f"request-{number}", daemon=True).start()
        while self.alive and self.ppid == os.getppid():
            self._tick()
        self.alive = False
        self._waiting.stop_listening()
        self._finish()

    def _finish(self) -> None:
        began = time.monotonic()
        while len(self._waiting) and time.monotonic() < began + self.cfg.graceful_timeout:
            for connection in list(self._waiting.idle):
                connection.deadline = min(connection.deadline, began + STOP_LINGER)
            self._tick()
        for queued in self._large_bodies.remove_overdue(math.inf):
            self._refuse(queued, Overloaded())

    def _tick(self) -> None:
        self.notify()
        self._sweep()
        self._stand_in()
        self._waiting.listen()  # it may have stopped for want of file descriptors
        select.select([self.PIPE[0]], [], [], TICK)  # a signal writes to it
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)

    def _sweep(self) -> None:
        now = time.monotonic()
        for late in self._large_bodies.remove_overdue(now):
            self._refuse(late, Overloaded())
        for late in self._waiting.take_overdue(now):
            self._expire(late)

    def _stand_in(self) -> None:
        """Read for the other threads, while all of them are busy."""
        until = time.monotonic() + TICK
        while time.monotonic() < until and (events := self._waiting.take_all()):
            for event in events:
                self._on_event(event, self._pass_on)

    def _pass_on(self, connection: Connection) -> None:
        """All threads are busy: answer a probe here, queue any other request for them."""
        if connection.arrival.is_probe():
            self._answer(connection, seconds=0.0)
        elif self._waiting.buffered > MAX_BUFFERED:
            self._refuse(connection, Overloaded())
        else:
            self._waiting.put_ready(connection)

    def _expire(self, connection: Connection) -> None:
        if connection.group is not self._waiting.arriving:
            self._waiting.close(connection)
        elif connection.arrival.state is ArrivalState.BODY:
            self._refuse(connection, BodyTooSlow())
        else:
            self._refuse(connection, HeadTooSlow())

    # --- A thread: from an event to a request ----------------------------------------------------

    def _work(self) -> None:
        answer = partial(self._answer, seconds=settings.REQUEST_TIMEOUT)
        while True:
            event = self._waiting.next()
            if event is not None:
                self._on_event(event, answer)

    def _on_event(self, event: Event, answer: Answer) -> None:
        """Do what can be done without waiting; `answer` is for a request that has arrived."""
        connection = event if isinstance(event, Connection) else None
        try:
            if not isinstance(event, Connection):
                connection = self._acceptor.accept(event, self._idle_seconds())
            if connection is not None:
                self._go_on(connection, answer)
        except BaseException:  # also SystemExit: the thread is needed
            self.log.exception("Error in the web process")
            if connection is not None:
                self._waiting.close(connection)

    def _go_on(self, connection: Connection, answer: Answer) -> None:
        if connection.ready_since is not None:
            answer(connection)
        else:
            self._on_readable(connection, answer)

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
            waiting.join(connection, waiting.arriving, IDLE_TIMEOUT)
        elif connection.group is not waiting.arriving:
            waiting.join(connection, waiting.arriving, HEAD_TIMEOUT)
        waiting.count(connection, connection.arrival.size)
        while waiting.buffered > MAX_BUFFERED and (oldest := waiting.take_oldest(waiting.arriving)):
            waiting.close(oldest)
        waiting.give_back(connection)

    # --- Large bodies ----------------------------------------------------------------------------

    def _enqueue_large(self, connection: Connection) -> None:
        """Queue a request with a large body until its turn; refuse it if the queue is full."""
        self._waiting.leave(connection)
        self._waiting.count(connection, connection.arrival.size)
        connection.is_huge = connection.arrival.is_huge()
        connection.identify()
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
        self._waiting.count(connection, 0)
        waited = connection.waited()
        if not connection.arrival.is_probe():
            observe_wait(THREADS, waited)
        self._count_request()
        connection.sock.allow(seconds)
        try:
            kept = Exchange(self, connection).run()
        except CLIENT_IS_GONE as error:
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
        self.log.info("A request was refused by the server, with %d", error.status)
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
