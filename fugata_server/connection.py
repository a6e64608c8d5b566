"""One client's connection, and the request that is arriving on it."""

import socket
import threading
import time
from typing import Any

from fugata_core.addresses import client_of, counted_as
from fugata_server.arrival import Arrival
from fugata_server.client_socket import ClientSocket


class Connection:
    """A connection. It belongs to the thread that holds `owner`, and to its maker at first."""

    def __init__(self, config: Any, accepted: socket.socket, peer: Any, server: Any) -> None:
        self.sock = ClientSocket.of(accepted)
        self.peer, self.server = peer, server
        #: Who sends the request, where that was looked up: what rate limits count together.
        self.client = ""
        self.owner = threading.Lock()
        self.owner.acquire()
        self._config = config
        self._requests = 0
        #: When the request that has arrived was queued for a thread; None: it was not.
        self.ready_since: float | None = None
        self.begin()
        #: Where it waits for its client, since when and until when (seconds of the monotonic
        #: clock); None: it has a thread, or is queued for one.
        self.group: dict[Connection, None] | None = None
        self.since = self.deadline = 0.0
        self.is_large = self.is_huge = self.awaits_body = False
        #: Bytes of its request that count as buffered; bytes dropped after its last response.
        self.buffered = self.drained = 0

    def begin(self) -> None:
        """Await the next request."""
        self._requests += 1
        self.arrival = Arrival(self._config, self.sock, self.peer, self._requests)
        self.awaits_body = False

    def identify(self) -> None:
        """Look up the client: the peer, or the one that a trusted proxy names."""
        headers = self.arrival.request.headers
        forwarded = ",".join(value for name, value in headers if name == "X-FORWARDED-FOR")
        peer = self.peer[0] if self.peer else ""
        self.client = counted_as(client_of(peer, forwarded).address)

    def waited(self) -> float:
        """Return how many seconds the request was queued for a thread, which it now has."""
        since, self.ready_since = self.ready_since, None
        return 0.0 if since is None else time.monotonic() - since
