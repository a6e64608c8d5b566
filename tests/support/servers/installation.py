"""Fugata over several machines' worth of parts, each a process that can be killed by itself.

The parts are started as deploy/ starts them: two web processes (each a gunicorn master with one
worker), a Celery worker and beat, over PostgreSQL, Redis and a Kubernetes API server. A gate is in
front of each of the three.
"""

import contextlib
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import yaml
from celery import Celery

from fugata_server.processes import WEB, WORKER
from fugata_site.settings.schedule import SCHEDULE
from tests.support.faults.gate import Gate
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.parts import RedisServer, free_port, plain_http, wait_until
from tests.support.servers.service import ROOT, Service, kill_all
from tests.support.servers.standby import ReplicatedPostgresql

#: Seconds after a part's return within which all is well again (a limit of the product).
BACK_WITHIN = 10.0
BEAT = [sys.executable, "-m", "celery", "--app", "fugata_site", "--quiet", "beat"]
BEAT += ["--loglevel=WARNING", "--pidfile="]
KEYS = "faults:" + "A" * 43 + "="
#: Short enough that a test sees them end, and long enough to be opened before.
SHORT_LIVED = "10s"
#: Whether the worker came to the end of a purge since then.
_PURGED = "SELECT count(*) FROM operations_app_tasksuccess WHERE task = 'purge_expired' AND at > %s"
#: The tasks that beat sends, by the last word of their names.
TASKS = {each["task"].rpartition(".")[2]: each["task"] for each in SCHEDULE.values()}
_BEGINNING = re.compile(r"^(?=\d{4}-\d\d-\d\d )", re.MULTILINE)


class Part:
    """One process of the installation, in a home of its own."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name, self.command = name, command
        self.environment, self.extra = environment, dict[str, str]()
        self.log = Path(environment["FUGATA_HOME"]).with_suffix(".log")
        self.process: psutil.Popen | None = None

    @property
    def url(self) -> str:
        """Where it listens, if it is a web process."""
        return f"http://127.0.0.1:{self.environment['PORT']}"

    def start(self) -> None:
        """Start it; it may need a moment to be well."""
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment | self.extra,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[psutil.Process]:
        """Return its processes, the parent first."""
        assert self.process is not None
        return [self.process, *self.process.children(recursive=True)]

    def kill(self) -> None:
        """Kill all of it at once."""
        kill_all(self.processes())

    def kill_the_master(self) -> None:
        """Kill the first process alone; its children find out by themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def signal_the_master(self, number: int) -> None:
        """Send a signal to the first process alone."""
        assert self.process is not None
        self.process.send_signal(number)

    def signal_a_child(self, number: int) -> None:
        """Send a signal to a worker process alone; its master stays."""
        wait_until(lambda: len(self.processes()) > 1, f"a child of {self.name}")
        with contextlib.suppress(psutil.NoSuchProcess):
            self.processes()[-1].send_signal(number)

    def freeze(self) -> None:
        """Make it hang."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return int(self.process.wait(timeout=30))

    def memory(self) -> float:
        """Return the MiB that its processes take together."""
        sizes = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes.append(process.memory_full_info().pss)
        return sum(sizes) / 2**20

    def ceiling(self) -> float:
        """Return the MiB that its Deployment requests for it."""
        manifest = ROOT / "deploy" / "kubernetes" / "base" / f"{self.name.split()[-1]}.yaml"
        (deployment,) = (each for each in yaml.safe_load_all(manifest.read_text())
                         if each["kind"] == "Deployment")  # fmt: skip
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return float(container["resources"]["requests"]["memory"].removesuffix("Mi"))

    def runs(self) -> bool:
        """Return whether its process is there."""
        return self.process is not None and self.process.poll() is None


class RunningInstallation:
    """All parts, what they need, and whether the whole is well."""

    def __init__(self, folder: Path, disk: Path) -> None:
        self.folder = folder
        self.postgresql = ReplicatedPostgresql(disk)
        self.redis, self.kubernetes = RedisServer(), KubernetesServer()
        url = self.postgresql.new_database()
        self.to_postgresql = Gate(self.postgresql.socket)
        self.to_redis = Gate(("127.0.0.1", self.redis.port))
        self.to_kubernetes = Gate(("127.0.0.1", self.kubernetes.port))
        self.namespace = self.kubernetes.new_namespace()
        self.settings = self._settings(urlsplit(url).path)
        self.operator = Service(folder / "operator", **self.settings)
        self.operator.manage("prepare")
        self.parts = self._make_parts()
        for part in self.parts.values():
            part.start()
        self.wait_until_well(60)

    def _settings(self, database: str) -> dict[str, str]:
        given = self.kubernetes.settings(
            self.namespace, url=f"https://127.0.0.1:{self.to_kubernetes.port}"
        )
        return given | {
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{self.to_postgresql.port}{database}",
            "REDIS_URL": f"redis://127.0.0.1:{self.to_redis.port}/0",
            "KUBERNETES_TIMEOUT": "1",  # so that to hang is to hang for longer
            "FUGATA_KEYS": KEYS,
            "SECRET_KEY": secrets.token_hex(32),
            "AUDIT_KEY": secrets.token_hex(32),
            "TTL_PRESETS": f"{SHORT_LIVED},1h",
            "WEB_CONCURRENCY": "1",
            "WEB_THREADS": "16",
        }

    def _make_parts(self) -> dict[str, Part]:
        commands = {"web": WEB, "another web": WEB, "worker": WORKER, "beat": BEAT}
        made = {}
        for name, command in commands.items():
            home = self.folder / name.replace(" ", "-")
            own = {"FUGATA_HOME": str(home), "PORT": str(free_port())}
            made[name] = Part(name, list(command), self.operator.environment | own)
        return made

    def webs(self) -> list[Part]:
        """Return the web processes."""
        return [self.parts["web"], self.parts["another web"]]

    # --- Is it well? ---

    def wait_until_well(self, seconds: float = BACK_WITHIN) -> None:
        """Return once every web process shares a secret, the worker works, and all else runs.

        `seconds` are for all of it together.
        """
        deadline = time.monotonic() + seconds
        for web in self.webs():
            left = deadline - time.monotonic()
            wait_until(partial(_serves, web), f"service of {web.name}", left)
        ((asked,),) = self.query("SELECT now()")
        self.send_task("purge_expired")
        left = deadline - time.monotonic()
        wait_until(lambda: self.query(_PURGED, asked) == [(1,)], "work of the worker", left)
        assert [part.name for part in self.parts.values() if not part.runs()] == []

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement in the service's database, whichever server has it."""
        with psycopg.connect(self.settings["DATABASE_URL"], autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def records(self) -> list[str]:
        """Return what all parts logged; a record begins with its time."""
        written = [part.log.read_text(errors="replace") for part in self.parts.values()]
        return [record for text in written for record in _BEGINNING.split(text)]

    def send_task(self, name: str) -> None:
        """Send a task to the worker, as beat does."""
        send_task(self.settings["REDIS_URL"], name)

    def close(self) -> None:
        """End everything."""
        ends: list[Callable[[], object]] = [part.kill for part in self.parts.values()]
        ends += [gate.close for gate in (self.to_postgresql, self.to_redis, self.to_kubernetes)]
        ends += [self.kubernetes.close, self.redis.close, self.postgresql.close]
        for end in ends:
            end()


def send_task(broker: str, name: str) -> None:
    """Send a task, by the last word of its name, to the workers of that Redis."""
    with Celery(broker=broker, set_as_current=False) as sender:
        sender.conf.broker_transport_options = {"global_keyprefix": "fugata:"}
        sender.conf.task_default_queue = "tasks"
        sender.send_task(TASKS[name], ignore_result=True)


def _serves(web: Part) -> bool:
    """Return whether it says that it is well, and does what it is for."""
    body = {"content": "is it back?", "duration": SHORT_LIVED}
    try:
        if plain_http.get(f"{web.url}/healthz").status_code != 200:
            return False
        return plain_http.post(f"{web.url}/secrets", json=body).status_code == 201
    except httpx.HTTPError:
        return False
