"""The clients as commands, and a server that misbehaves as a test tells it to."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "clients"

Reply = tuple[int, dict[str, str], str]  # status, headers, body
LIMITED: Reply = (429, {}, '{"error": "Rate limit exceeded"}')
FOUND: Reply = (200, {}, '{"content": "found", "metadata": null, "one_time": false}')


@dataclass
class Client:
    """One of the clients, as a command."""

    name: str
    command: list[str]

    def start(self, url: str, *args: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start the client; `environment` is added to what it inherits."""
        inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        inherited.pop("FUGATA_DELETION_TOKEN", None)
        return subprocess.Popen(
            [*self.command, *args],
            env=inherited | {"FUGATA_URL": url} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, url: str, *args: str, text: str | bytes = "", **environment: str) -> "Outcome":
        """Run the client to its end, with `text` on its standard input."""
        process = self.start(url, *args, **environment)
        content = text if isinstance(text, bytes) else text.encode()
        out, err = process.communicate(content, timeout=60)
        return Outcome(process.returncode, out.decode(), err.decode())

    def create(self, url: str, content: str, *options: str) -> dict[str, str]:
        """Create a secret and return the answer."""
        created = self.run(url, "create", *options, text=content)
        assert (created.status, created.err) == (0, "")
        answer: dict[str, str] = json.loads(created.out)
        assert set(answer) == {"id", "deletion_token", "expires_at"}
        return answer


@dataclass
class Outcome:
    """How a client ended."""

    status: int
    out: str
    err: str

    def assert_refused(self, sentence: str, status: int = 1) -> None:
        """Check that the client failed, said why in one line, and printed nothing else."""
        assert self.status == status
        assert self.out == ""
        assert sentence in self.err
        assert len(self.err.splitlines()) == 1


class FaultServer(ThreadingHTTPServer):
    """Gives its `replies` in turn, the last one for ever; `before_reply` runs before each."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), FaultHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.replies: list[Reply] = [FOUND]
        self.times: list[float] = []
        self.before_reply: Callable[[], None] = lambda: None


class FaultHandler(BaseHTTPRequestHandler):
    """Reads a request whole and sends the next reply."""

    server: FaultServer

    def do_GET(self) -> None:
        """Answer any method."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.times.append(time.monotonic())
        self.server.before_reply()
        replies = self.server.replies
        status, headers, body = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def limited(**headers: str) -> Reply:
    """Return a 429 with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return LIMITED[0], named, LIMITED[2]
