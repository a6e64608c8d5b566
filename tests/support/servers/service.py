"""Fugata itself, started as its users start it: `manage.py serve`, in processes of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from tests.support.servers.parts import free_port, plain_http, wait_until

ROOT = Path(__file__).resolve().parents[3]
#: The rate limits are out of the way unless a test is about them.
OPEN_DOOR = dict.fromkeys(
    (
        "RATE_LIMIT_RPM",
        "RATE_LIMIT_BURST",
        "TOKEN_RATE_LIMIT_RPM",
        "TOKEN_RATE_LIMIT_BURST",
    ),
    "1000000",
)
_OURS = (
    "FUGATA_",
    "DATABASE_",
    "REDIS_",
    "WEB_",
    "RATE_",
    "TOKEN_",
    "DJANGO_",
    "KUBE",
    "VALUE_",
    "PORT",
    "HOST",
    "PUBLIC_",
    "QUOTA_",
    "CREATE_",
    "FORCE_",
    "VAULT_",
    "AWS_",
    "KMS_",
    "METRICS_",
    "LOG_",
)


class Service:
    """One installation with a home of its own. It can be started, stopped and started again."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home, self.settings = home, settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home.parent / f"{home.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the service and its commands run in."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        ours = {"FUGATA_HOME": str(self.home), "PORT": str(self.port)}
        return clean | OPEN_DOOR | ours | self.settings

    def start(self, wait: bool = True) -> "Service":
        """Start it and wait until it is well, with all its web processes."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if wait:
            self.wait_until_well()
            wait_until(lambda: len(self.workers()) == self._web_processes(), "every web process")
        return self

    def _web_processes(self) -> int:
        """Return how many are to run: the first one is well before the others are forked."""
        return int(self.settings.get("WEB_CONCURRENCY", 2 if self.settings.get("REDIS_URL") else 1))

    def wait_until_well(self) -> None:
        """Return as soon as /healthz says so."""
        wait_until(self.is_well, "a healthy service")

    def is_well(self) -> bool:
        """Return whether /healthz answers 200."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the service ended: {self.logged()[-2000:]}")
        try:
            return plain_http.get(f"{self.url}/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the service, the parent first."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Return gunicorn's worker processes."""
        masters = [p for p in self.processes()[1:] if "gunicorn" in _command(p)]
        pids = {p.pid for p in masters}
        return [p for p in masters if _parent(p) in pids]

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a management command against this installation."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command in its environment, all that it writes in one."""
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    def logged(self) -> str:
        """Return everything that the processes wrote."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tracebacks(self) -> list[str]:
        """Return what the processes wrote behind the word, up to its next one."""
        _, *traced = self.logged().split("Traceback")
        return traced

    def complaints(self) -> list[str]:
        """Return the lines of warnings and errors among them."""
        return [line for line in self.logged().splitlines() if "WARNING" in line or "ERROR" in line]

    def kill(self) -> None:
        """Kill all processes at once; none gets to do anything more."""
        kill_all(self.processes())
        assert self.process is not None
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the parent to end and return its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def running(service: Service, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run one process of a service by itself."""
    with service.log.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=service.environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill processes at once, and return when they have ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _command(process: psutil.Process) -> str:
    """Return a process's command line; nothing for one that has ended meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def _parent(process: psutil.Process) -> int:
    """Return the id of a process's parent; 0 for one that has ended meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.ppid()
    return 0
