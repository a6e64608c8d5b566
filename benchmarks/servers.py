"""The servers under test, each started once, when a scenario first needs it."""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from benchmarks import peer, stores
from benchmarks.loadgen import Address
from benchmarks.processes import (
    environment,
    free_port,
    run_once,
    running,
    tail,
    wait_until_ready,
)

WORKERS, THREADS = 2, 16
BIN = Path(sys.executable).parent

# The same for all: on the command line, these override a configuration file.
GUNICORN = {
    "--worker-class": "gthread",
    "--workers": str(WORKERS),
    "--threads": str(THREADS),
    "--keep-alive": "30",
    "--backlog": "2048",
    "--worker-connections": "10000",
    "--max-requests": "0",
    "--timeout": "60",
}
#: Fugata's worker does more than gunicorn's: it is measured as it runs in production.
OWN_WORKER = {"--worker-class": "fugata_server.worker.Worker"}


@dataclass(frozen=True)
class Site:
    """One gunicorn: where it listens, its process id, and a path that answers 200."""

    address: Address
    pid: int
    ready: str

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes. Raises SystemExit if there are not exactly WORKERS."""
        found: list[psutil.Process] = psutil.Process(self.pid).children()
        if len(found) != WORKERS:
            raise SystemExit(f"Expected {WORKERS} workers on {self.address}, found {len(found)}")
        return found


class Servers:
    """PostgreSQL, the Redis servers and the sites of one run, all inside one folder."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.sites: dict[str, Site] = {}
        self.environments: dict[str, dict[str, str]] = {}

    @cached_property
    def postgres(self) -> stores.Postgres:
        """PostgreSQL, started on first use."""
        return self.stack.enter_context(stores.postgres(self.folder))

    def redis(self, name: str) -> str:
        """Start a Redis and return its URL."""
        return self.stack.enter_context(stores.redis(self.folder, name))

    def site(self, name: str) -> Site:
        """Return a site, started on first use."""
        if name not in self.sites:
            self.sites[name] = STARTERS[name](self)
        return self.sites[name]

    def env(self, name: str) -> dict[str, str]:
        """Return the environment that a site runs in."""
        return self.environments[name]

    def log(self, name: str) -> Path:
        """Return the path of a site's log."""
        return self.folder / f"{name}.log"

    def last_lines(self, name: str) -> str:
        """Return the end of a site's log."""
        return tail(self.log(name))

    def home(self, name: str) -> Path:
        """Create a home folder for one site and return it."""
        home = self.folder / f"{name}-home"
        home.mkdir(mode=0o700)
        return home

    def serve(
        self,
        name: str,
        command: list[str],
        env: dict[str, str],
        ready: str,
        own: dict[str, str] | None = None,
    ) -> Site:
        """Run gunicorn with the common options, and its `own`, until the end of the run."""
        address = ("127.0.0.1", int(env["PORT"]))
        self.environments[name] = env
        common = [word for option in (GUNICORN | (own or {})).items() for word in option]
        bind = ["--no-control-socket", "--bind", f"{address[0]}:{address[1]}"]
        child = self.stack.enter_context(running([*command, *common, *bind], env, self.log(name)))
        wait_until_ready(child, address, ready, self.log(name))
        return Site(address, child.pid, ready)


def start_floor(servers: Servers) -> Site:
    """Start the bare Django site."""
    url = servers.postgres.create("floor")
    extra = {"DATABASE_URL": url, "PORT": str(free_port())}
    env = environment(servers.home("floor"), extra)
    migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb"]
    run_once([*migrate, "--settings=benchmarks.floor.settings"], env, servers.log("floor"))
    gunicorn = [str(BIN / "gunicorn"), "benchmarks.floor.wsgi:application"]
    return servers.serve("floor", gunicorn, env, "/ready")


def start_fugata(servers: Servers, name: str = "fugata") -> Site:
    """Start Fugata as it runs in production, with a rate limit that is never reached."""
    home = servers.home(name)
    settings = {
        "FUGATA_HOME": str(home),
        "DATABASE_URL": servers.postgres.create(name),
        "REDIS_URL": servers.redis(f"{name}-redis"),
        "RATE_LIMIT_RPM": "100000000",
        "RATE_LIMIT_BURST": "100000000",
        "PORT": str(free_port()),
        "WEB_CONCURRENCY": str(WORKERS),
        "WEB_THREADS": str(THREADS),
    }
    env = environment(home, settings)
    run_once([sys.executable, "manage.py", "prepare"], env, servers.log(name))
    gunicorn = [str(BIN / "gunicorn"), "-c", "python:fugata_site.gunicorn_conf"]
    gunicorn.append("fugata_site.wsgi:application")
    return servers.serve(name, gunicorn, env, "/healthz", OWN_WORKER)


def start_snappass(servers: Servers) -> Site:
    """Start SnapPass with a Redis of its own."""
    bin_folder = peer.install()
    extra = {"REDIS_URL": servers.redis("snappass-redis"), "NO_SSL": "True"}
    env = environment(servers.home("snappass"), {**extra, "PORT": str(free_port())})
    gunicorn = [str(bin_folder / "gunicorn"), "snappass.main:app"]
    return servers.serve("snappass", gunicorn, env, "/")


STARTERS: dict[str, Callable[[Servers], Site]] = {
    "floor": start_floor,
    "fugata": start_fugata,
    "snappass": start_snappass,
}
