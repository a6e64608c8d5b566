"""Child processes: start them with an environment of their own, wait for them, stop them."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.loadgen import Address

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 10.0


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child, without any of the parent's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", **extra}


def run_once(command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
    """Run a command to completion in the project's folder. Raises SystemExit if it fails."""
    with log.open("ab") as output:
        code = subprocess.call(command, cwd=ROOT, env=env, stdout=output, stderr=output)
    if code:
        raise SystemExit(f"`{' '.join(command[1:4])}` failed:\n{tail(log)}")


@contextlib.contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the duration of the context, with its output in `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield child
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    """Terminate a child, and kill it after ten seconds."""
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_until_ready(
    child: subprocess.Popen[bytes], address: Address, path: str, log: Path
) -> None:
    """Return when GET `path` answers 200. Raises SystemExit if it does not within a minute."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        if status_of(address, path) == 200:
            return
        time.sleep(0.1)
    raise SystemExit(f"The server behind {path} did not start:\n{tail(log)}")


def status_of(address: Address, path: str) -> int:
    """Return the status of one GET; 0 without an answer."""
    connection = http.client.HTTPConnection(*address, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait_for_port(child: subprocess.Popen[bytes], address: Address, log: Path) -> None:
    """Return when `address` accepts connections. Raises SystemExit after a minute."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(address, 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"Nobody listens on port {address[1]}:\n{tail(log)}")


def tail(log: Path, lines: int = 25) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
