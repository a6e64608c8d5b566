"""`python -m benchmarks.kubernetes`: set and read repository secrets, compared with a limit.

The limit is the sum of what a request can't avoid: the raw calls to the API server, over one
keep-alive connection, and a bare Django view with one INSERT.
"""

import argparse
import base64
import contextlib
import http.client
import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks import machine, report
from benchmarks.loadgen import Driver
from benchmarks.processes import environment, free_port, run_once
from benchmarks.runner import say, spread
from benchmarks.scenarios import JSON_TYPE, create_request
from benchmarks.servers import BIN, THREADS, WORKERS, Servers, Site, start_floor
from tests.support.servers.kubernetes import SERVICE_TOKEN, VALUES, KubernetesServer

CONNECTIONS = (1, 4, 16)
SIZES = {"200 B": 200, "1 MB": 1_000_000}
RESULT = Path(__file__).parent / "results" / "kubernetes.json"


@dataclass(frozen=True)
class Row:
    """One size and number of connections: requests per second, and Fugata's share of the limit."""

    size: str
    connections: int
    raw_create: float
    raw_read: float
    floor: float
    set: float
    read: float
    set_of_limit: float
    read_of_limit: float
    errors: int


class Fugata:
    """The service with its values in the API server, and a token for one repository."""

    def __init__(self, servers: Servers, cluster: KubernetesServer) -> None:
        self.env = environment(servers.home("fugata"), self._settings(servers, cluster))
        run_once([sys.executable, "manage.py", "prepare"], self.env, servers.log("fugata"))
        self._token = self._make_token()
        gunicorn = [str(BIN / "gunicorn"), "-c", "python:fugata_site.gunicorn_conf"]
        gunicorn.append("fugata_site.wsgi:application")
        self.site = servers.serve("fugata", gunicorn, self.env, "/healthz")

    def _settings(self, servers: Servers, cluster: KubernetesServer) -> dict[str, str]:
        limits = ("RATE_LIMIT_RPM", "RATE_LIMIT_BURST")
        return {
            **cluster.settings(),
            **dict.fromkeys((*limits, *(f"TOKEN_{name}" for name in limits)), "100000000"),
            "FUGATA_HOME": str(servers.folder / "fugata-home"),
            "DATABASE_URL": servers.postgres.create("fugata"),
            "REDIS_URL": servers.redis("fugata-redis"),
            "PORT": str(free_port()),
            "WEB_CONCURRENCY": str(WORKERS),
            "WEB_THREADS": str(THREADS),
        }

    def _make_token(self) -> str:
        command = [sys.executable, "manage.py", "create_repository", "bench", "--owner", "me"]
        made = subprocess.run(
            [*command, "--token", "--json"],
            env=self.env,
            capture_output=True,
            check=True,
        )
        return str(json.loads(made.stdout)["token"])

    def set_request(self, index: int, value: str) -> bytes:
        """Return a request that sets a key of its own."""
        return self._request("POST", "", {"secret_key": f"k{index}", "secret_value": value})

    def read_request(self, index: int) -> bytes:
        """Return a request that reads that key."""
        return self._request("GET", f"/k{index}")

    def _request(self, method: str, key: str, body: object = None) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} /repositories/bench/secrets{key} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"Authorization: Bearer {self._token}", f"Content-Length: {len(data)}"]
        lines += [f"Content-Type: {JSON_TYPE}"] if data else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


class Raw:
    """The API server's own API: plain http.client, each thread over one keep-alive connection."""

    def __init__(self, cluster: KubernetesServer) -> None:
        self._port = cluster.port
        self._context = ssl.create_default_context(cafile=str(cluster.authority))
        self._path = f"/api/v1/namespaces/{VALUES}/secrets"

    def rate(self, connections: int, jobs: Sequence[tuple[str, str, bytes]]) -> float:
        """Return requests per second for `jobs`: method, name, and body."""
        queue, lock = iter(jobs), threading.Lock()
        ready = threading.Barrier(connections + 1)

        def work() -> None:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context)
            connection.connect()
            ready.wait()
            while True:
                with lock:
                    job = next(queue, None)
                if job is None:
                    return
                self._send(connection, *job)

        threads = [threading.Thread(target=work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.monotonic()
        for thread in threads:
            thread.join()
        return len(jobs) / (time.monotonic() - began)

    def _send(
        self, connection: http.client.HTTPSConnection, method: str, name: str, body: bytes
    ) -> None:
        headers = {"Authorization": f"Bearer {SERVICE_TOKEN}", "Content-Type": JSON_TYPE}
        path = self._path if method == "POST" else f"{self._path}/{name}"
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"The API server answered {answer.status}")


def secret(name: str, size: int) -> bytes:
    """Return the manifest of a Secret with `size` bytes of data."""
    data = base64.b64encode(name.encode().ljust(size, b"x")[:size]).decode()
    body = {"apiVersion": "v1", "kind": "Secret", "immutable": True}
    return json.dumps(body | {"metadata": {"name": name}, "data": {"sealed": data}}).encode()


_numbers = iter(range(10**9))


def rate_of(site: Site, connections: int, requests: Sequence[bytes]) -> tuple[float, int]:
    """Return requests per second, and how many failed."""
    driver = Driver(site.address)
    try:
        spread(driver, site, connections)
        done = driver.run(requests)
    finally:
        driver.close()
    figure = report.figure(done, done.errors())
    return figure.rate, sum(done.errors().values())


@dataclass(frozen=True)
class Sites:
    """The three sites that are measured."""

    fugata: Fugata
    floor: Site
    raw: Raw


def measure(sites: Sites, size: str, connections: int, count: int) -> Row:
    """Measure all five rates in turn, and return them with their ratios."""
    fugata, floor, raw = sites.fugata, sites.floor, sites.raw
    numbers = [next(_numbers) for _ in range(count)]
    names = [f"raw-{number}" for number in numbers]
    value = "v" * SIZES[size]
    creates = [("POST", name, secret(name, SIZES[size])) for name in names]
    raw_create = raw.rate(connections, creates)
    raw_read = raw.rate(connections, [("GET", name, b"") for name in names])
    floor_rate, _ = rate_of(floor, connections, [create_request(n) for n in numbers])
    sets, wrong = rate_of(fugata.site, connections, [fugata.set_request(n, value) for n in numbers])
    reads, more = rate_of(fugata.site, connections, [fugata.read_request(n) for n in numbers])
    return Row(
        size=size,
        connections=connections,
        raw_create=raw_create,
        raw_read=raw_read,
        floor=floor_rate,
        set=sets,
        read=reads,
        set_of_limit=sets * (1 / raw_create + 1 / floor_rate),
        read_of_limit=reads * (1 / raw_read + 1 / floor_rate),
        errors=wrong + more,
    )


def medians_of(rows: list[Row]) -> Row:
    """Return the medians over the rounds for one size and number of connections."""
    fields = {name: median(getattr(row, name) for row in rows) for name in asdict(rows[0])
              if name not in ("size", "connections", "errors")}  # fmt: skip
    return Row(
        size=rows[0].size,
        connections=rows[0].connections,
        errors=sum(row.errors for row in rows),
        **fields,
    )


def run(options: argparse.Namespace) -> list[Row]:
    """Start everything, measure in rounds, and return a row of medians for each combination."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fugata-bench-")))
        servers = Servers(folder, stack)
        cluster = KubernetesServer()
        stack.callback(cluster.close)
        say(f"machine: {machine.describe(folder)}")
        sites = Sites(Fugata(servers, cluster), start_floor(servers), Raw(cluster))
        found: dict[tuple[str, int], list[Row]] = {}
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            for size, connections, count in _combinations(options.requests):
                row = measure(sites, size, connections, count)
                found.setdefault((size, connections), []).append(row)
                say(f"  {size:6} x {connections:2}: set {row.set_of_limit:.2f} of the limit,"
                    f" read {row.read_of_limit:.2f}")  # fmt: skip
        return [medians_of(rows) for rows in found.values()]


def _combinations(requests: int) -> Iterator[tuple[str, int, int]]:
    for size in SIZES:
        for connections in CONNECTIONS:
            yield size, connections, requests if size == "200 B" else max(requests // 10, 20)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table: requests per second, and shares of the limit."""
    head = ("value", "connections", "raw create", "raw read", "floor", "set", "read",
            "set of limit", "read of limit", "errors")  # fmt: skip
    shown: Callable[[float], str] = lambda rate: f"{rate:,.0f}"  # noqa: E731
    cells = [
        (row.size, str(row.connections), *map(shown, (row.raw_create, row.raw_read, row.floor)),
         shown(row.set), shown(row.read), f"{row.set_of_limit:.2f}", f"{row.read_of_limit:.2f}",
         str(row.errors))
        for row in rows
    ]  # fmt: skip
    lines = [head, tuple("---" for _ in head), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure, print the table and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kubernetes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--requests", type=int, default=400, help="requests a slice (400)")
    rows = run(parser.parse_args())
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
