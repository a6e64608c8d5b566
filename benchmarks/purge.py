"""How fast expired shares are purged, and how that slows creates: `python -m benchmarks.purge`.

The limit is one plain DELETE of as many rows. The purge also deletes as many values and writes as
many audit events, in batches that let other requests through.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.filling import fill
from benchmarks.loadgen import Driver
from benchmarks.report import percentile
from benchmarks.runner import say, spread
from benchmarks.scenarios import create_request
from benchmarks.servers import Servers

RESULT = Path(__file__).parent / "results" / "purge.json"


@dataclass(frozen=True)
class Result:
    """Rows per second; p99 of creates in ms, alone and during a purge; events sealed per second."""

    rows: int
    delete_rows_per_second: float
    purge_rows_per_second: float
    purge_of_delete: float
    idle_p99_ms: float
    purging_p99_ms: float
    p99_of_idle: float
    seal_events_per_second: float
    errors: int


def plain_delete(url: str) -> float:
    """Delete the expired rows in one statement and return its seconds; then truncate the values."""
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        connection.execute("DELETE FROM secrets_app_share WHERE expires_at <= now()")
        took = time.perf_counter() - began
        connection.execute("TRUNCATE vault_app_storedvalue")
        connection.execute("VACUUM")
    return took


def idle(driver: Driver, requests: int) -> list[int]:
    """Return the latencies (ns) of creates while nothing else runs."""
    driver.run([create_request(i) for i in range(requests // 4)])
    return driver.run([create_request(i) for i in range(requests)]).latencies_ns


def while_purging(driver: Driver, purge: subprocess.Popen[bytes]) -> tuple[list[int], int]:
    """Return the latencies (ns) of creates until the purge ends, and how many failed."""
    latencies: list[int] = []
    errors = 0
    while purge.poll() is None:
        done = driver.run([create_request(i) for i in range(200)])
        latencies += done.latencies_ns
        errors += sum(done.errors().values())
    return latencies, errors


def measure(servers: Servers, rows: int, connections: int, rounds: int) -> Result:
    """Measure plain DELETEs, the purge and sealing on one database."""
    site = servers.site("fugata")
    url = servers.postgres.url("fugata")
    deletes = []
    for number in range(rounds):
        say(f"plain DELETE {number + 1} of {rounds}: filling …")
        fill(url, rows, "-1 hour")
        deletes.append(plain_delete(url))
    fill(url, rows, "-1 hour")
    driver = Driver(site.address)
    spread(driver, site, connections)
    say("creates alone …")
    alone = sorted(idle(driver, 2000))
    say("creates while purging …")
    command = [sys.executable, "manage.py", "purge_expired"]
    began = time.perf_counter()
    purge = subprocess.Popen(command, env=servers.env("fugata"), stdout=subprocess.DEVNULL)
    meanwhile, errors = while_purging(driver, purge)
    took = time.perf_counter() - began
    driver.close()
    say("sealing what the purge recorded …")
    began = time.perf_counter()
    seal = [sys.executable, "manage.py", "audit", "seal"]
    subprocess.run(seal, env=servers.env("fugata"), check=True, stdout=subprocess.DEVNULL)
    sealed = rows / (time.perf_counter() - began)
    deleted = statistics.median(deletes)
    p99, busy = percentile(alone, 0.99), percentile(sorted(meanwhile), 0.99)
    return Result(
        rows=rows,
        delete_rows_per_second=rows / deleted,
        purge_rows_per_second=rows / took,
        purge_of_delete=deleted / took,
        idle_p99_ms=p99,
        purging_p99_ms=busy,
        p99_of_idle=busy / p99,
        seal_events_per_second=sealed,
        errors=errors,
    )


def main() -> None:
    """Measure, print and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.purge", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="expired shares (1000000)")
    parser.add_argument("--connections", type=int, default=4, help="connections that create (4)")
    parser.add_argument("--rounds", type=int, default=3, help="plain DELETEs (3)")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fugata-bench-"))
        servers = Servers(Path(folder), stack)
        done = measure(servers, options.rows, options.connections, options.rounds)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(done.__dict__, indent=2) + "\n")
    for name, figure in done.__dict__.items():
        print(f"{name:24} {figure:12,.2f}")


if __name__ == "__main__":
    main()
