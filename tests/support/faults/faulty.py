"""A proxy in front of an API server, a Vault or a KMS that fails as a test wants it to."""

import contextlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3

from tests.support.faults import broken
from tests.support.servers.parts import wait_until

_VAULT = ("X-Vault-Token", "X-Vault-Namespace", "X-Vault-Request")
_KMS = ("X-Amz-Target", "X-Amz-Date")
_PASSED_ON = ("Authorization", "Accept", "Content-Type", *_VAULT, *_KMS)
_PASSED_BACK = ("Content-Type", "Date", "Retry-After")


@dataclass
class Fault:
    """What happens to requests of a method ("" is any), `times` times at most.

    `kind`: "answer" (with `status`), "hang" (until the proxy is mended), "lose" (the request is
    done and its answer dropped), "drop" (it is not done either), "reset" (like "drop", with RST),
    "hold" (like "hang", after it was done), "drip" (a byte of the answer's body every `pause`
    seconds), "drip_head" (of its head as well).
    """

    kind: str
    method: str = ""
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"kind":"Status","status":"Failure"}'
    times: int | None = None
    pause: float = 0.2
    #: The number of such requests that are let through first.
    spare: int = 0

    def takes(self, method: str) -> bool:
        """Return whether the fault happens to this request, and count it."""
        if self.method not in ("", method) or self.times == 0:
            return False
        if self.spare:
            self.spare -= 1
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass(frozen=True)
class Request:
    """A request that came by, and how many bytes its answer had."""

    method: str
    path: str
    accept: str
    answered: int


class FaultyProxy:
    """Listens on a port of its own, in plain HTTP, for the server at `target`.

    `authority`: the certificate that vouches for it. `url` is what clients are told.
    """

    def __init__(self, target: str, authority: Path | None = None) -> None:
        self._target, ca = target, str(authority) if authority else None
        self._pool = urllib3.PoolManager(ca_certs=ca, maxsize=64, retries=False)
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self.mended = threading.Event()
        self.seen: list[Request] = []
        self.struck = self.held = self.connections = 0
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.proxy = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def fail(self, kind: str, method: str = "", **more: Any) -> None:
        """Let requests fail from now on."""
        with self._lock:
            self._fault, self.struck, self.held = Fault(kind, method, **more), 0, 0
            self.mended.clear()

    def let_through(self, count: int) -> None:
        """Let so many requests through before the fault that was asked for begins."""
        assert self._fault
        self._fault.spare = count

    def heal(self) -> None:
        """Let everything through again; what hangs is cut off."""
        with self._lock:
            self._fault = None
            self.mended.set()

    def wait_until_triggered(self, times: int = 1) -> None:
        """Return when the fault has happened to that many requests."""
        wait_until(lambda: self.struck >= times, f"{times} requests that fail")

    def wait_until_held(self, times: int = 1) -> None:
        """Return when that many requests were done whose answers are held back."""
        wait_until(lambda: self.held >= times, f"{times} answers that are held back")

    def close(self) -> None:
        """Stop listening."""
        self.heal()
        self._http.shutdown()
        self._http.server_close()
        self._pool.clear()

    def fault_for(self, method: str) -> Fault | None:
        """Return the fault that happens to a request, if one does."""
        with self._lock:
            if self._fault is None or not self._fault.takes(method):
                return None
            self.struck += 1
            return self._fault

    def note_held(self) -> None:
        """Note that a request was done whose answer is held back."""
        self.held += 1

    def forward(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        """Have the server answer, and note the request."""
        url = self._target + path
        answer = self._pool.request(method, url, body=body or None, headers=headers)
        self.seen.append(Request(method, path, headers.get("Accept", ""), len(answer.data)))
        return answer


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    proxy: FaultyProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed or gave up is what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.proxy.connections += 1

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.proxy.fault_for(self.command)
        if fault is None:
            self._send(*self._ask(body))
        else:
            getattr(self, fault.kind)(fault, body)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        answer = self.server.proxy.forward(self.command, self.path, body, headers)
        passed = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        return answer.status, passed, answer.data

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self._head(status, headers, len(data))
        self.wfile.write(data)

    def _head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(length)} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def answer(self, fault: Fault, body: bytes) -> None:
        self._send(fault.status, fault.headers, fault.body)

    def hang(self, fault: Fault, body: bytes) -> None:
        self.server.proxy.mended.wait(120)
        self.close_connection = True

    def drop(self, fault: Fault, body: bytes) -> None:
        self.close_connection = True

    def reset(self, fault: Fault, body: bytes) -> None:
        broken.reset(self)

    def lose(self, fault: Fault, body: bytes) -> None:
        self._ask(body)
        self.close_connection = True

    def hold(self, fault: Fault, body: bytes) -> None:
        self._ask(body)
        self.server.proxy.note_held()
        self.hang(fault, body)

    def drip(self, fault: Fault, body: bytes) -> None:
        status, headers, data = self._ask(body)
        self._head(status, headers, len(data))
        self._drip(data, fault.pause)

    def drip_head(self, fault: Fault, body: bytes) -> None:
        status, headers, data = self._ask(body)
        lines = {"Content-Length": str(len(data))} | headers
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._drip(f"HTTP/1.1 {status} Slow\r\n{head}\r\n".encode() + data, fault.pause)

    def _drip(self, data: bytes, pause: float) -> None:
        with contextlib.suppress(OSError):
            for byte in data:
                self.wfile.write(bytes([byte]))
                if self.server.proxy.mended.wait(pause):
                    break
        self.close_connection = True

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = do_PATCH = handle_any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
