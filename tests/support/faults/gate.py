"""A gate in front of a server: connections pass, are cut, are kept waiting, or are late."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_PIECE = 65536

Target = tuple[str, int] | Path


class Gate:
    """Listens on a TCP port of its own and passes bytes on to `target` (an address or a socket)."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.delay = 0.0
        self._open = threading.Event()
        self._open.set()
        self._refuses = False
        self._ended = threading.Event()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        _in_a_thread(self._accept)

    # --- What a test does ---

    def cut(self) -> None:
        """Reset all connections, and every new one."""
        self._refuses = True
        self.reset()

    def reset(self) -> None:
        """Reset the connections that there are."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._drop(pair)

    def hang(self) -> None:
        """Keep connections, accept new ones, and pass nothing on."""
        self._open.clear()

    def slow(self, seconds: float) -> None:
        """Pass everything on `seconds` late."""
        self.delay = seconds

    def heal(self) -> None:
        """Let everything pass at once."""
        self.delay, self._refuses = 0.0, False
        self._open.set()

    def close(self) -> None:
        """End it, and its connections."""
        self._ended.set()
        self._open.set()
        self._listener.close()
        self.reset()

    # --- What goes on inside ---

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            _in_a_thread(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = None if self._refuses else _connected(self.target)
        if server is None:
            _reset(client)
            return
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        if self._refuses:  # cut meanwhile
            self._drop(pair)
        _in_a_thread(self._carry, client, server, pair)
        _in_a_thread(self._carry, server, client, pair)

    def _carry(
        self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(_PIECE):
                self._open.wait()
                if self.delay:
                    self._ended.wait(self.delay)
                sink.sendall(data)
        self._drop(pair)

    def _drop(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.remove(pair)
        for one in pair:
            _reset(one)


def _connected(target: Target) -> socket.socket | None:
    try:
        if isinstance(target, Path):
            made = socket.socket(socket.AF_UNIX)
            made.connect(str(target))
            return made
        made = socket.create_connection(target, timeout=5)
        made.settimeout(None)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except OSError:
        return None


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        if one.family == socket.AF_INET:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()


def _in_a_thread(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()
