"""How soon the embedded service answers, and its memory: `python -m benchmarks.start`.

The clock runs from `manage.py serve` (which `make run` becomes) to the first page that arrives.
Memory is the proportional set size (PSS) of every process, after mixed requests.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.loadgen import Address, Driver
from benchmarks.processes import ROOT, environment, free_port, running, status_of, tail
from benchmarks.runner import say
from benchmarks.scenarios import JSON_TYPE, create_request, prepare_all, render

RESULT = Path(__file__).parent / "results" / "start.json"
#: Kinds of requests, with creates counted twice; each is an equal part of the total.
KINDS = 7
#: Concurrent requests.
CONNECTIONS = 4
_PATIENCE = 60.0
_LOOK_EVERY = 0.005


@dataclass(frozen=True)
class Result:
    """Seconds to the first page, on an empty home and later; MiB (PSS) of each process."""

    first: list[float]
    later: list[float]
    requests: int
    errors: dict[str, int]
    mib: dict[str, float]

    @property
    def total(self) -> float:
        """MiB (PSS) of all processes together."""
        return sum(self.mib.values())


class FreshHome:
    """An embedded service with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.address: Address = ("127.0.0.1", free_port())
        self._log = folder / "serve.log"
        self._env = environment(
            folder,
            {
                "FUGATA_HOME": str(folder / "var"),
                "PORT": str(self.address[1]),
                "RATE_LIMIT_RPM": "100000000",
                "RATE_LIMIT_BURST": "100000000",
                "TOKEN_RATE_LIMIT_RPM": "100000000",
                "TOKEN_RATE_LIMIT_BURST": "100000000",
            },
        )

    @contextlib.contextmanager
    def started(self) -> Iterator[tuple[float, psutil.Process]]:
        """Run the service; yield the seconds to its first page, and its parent process."""
        began = time.perf_counter()
        with running([sys.executable, "manage.py", "serve"], self._env, self._log) as parent:
            self._wait_for("/", parent, began)
            seconds = time.perf_counter() - began
            self._wait_for("/healthz", parent, began)  # not necessarily healthy yet
            yield seconds, psutil.Process(parent.pid)

    def _wait_for(self, path: str, parent: subprocess.Popen[bytes], began: float) -> None:
        while status_of(self.address, path) != 200:
            if parent.poll() is not None or time.perf_counter() - began > _PATIENCE:
                raise SystemExit(f"The service did not start:\n{tail(self._log)}")
            time.sleep(_LOOK_EVERY)

    def token(self) -> str:
        """Create a repository `bench` and return a token for it."""
        command = [sys.executable, "manage.py", "create_repository", "bench", "--owner", "bench"]
        made = subprocess.run(
            [*command, "--token", "--json"],
            cwd=ROOT,
            env=self._env,
            check=True,
            capture_output=True,
        )
        return str(json.loads(made.stdout)["token"])


def starts(rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of first starts, and of later starts."""
    first: list[float] = []
    later: list[float] = []
    for number in range(rounds):
        say(f"start {number + 1} of {rounds} …")
        with tempfile.TemporaryDirectory(prefix="fugata-bench-") as folder:
            installation = FreshHome(Path(folder))
            for taken in (first, later):
                with installation.started() as (seconds, _):
                    taken.append(seconds)
    return first, later


def mixed(driver: Driver, token: str, count: int) -> list[bytes]:
    """Create shares; return secret sets, share pages, opens, form pages and health checks.

    A share whose page is requested is not opened: another connection might open it first.
    """
    each = count // KINDS
    ids = [json.loads(body)["id"] for body in prepare_all(driver, _creates(2 * each))]
    authorized = [f"Authorization: Bearer {token}"]
    requests: list[bytes] = []
    for number, (shown, opened) in enumerate(zip(ids[:each], ids[each:], strict=True)):
        secret = json.dumps({"secret_key": f"KEY_{number}", "secret_value": "value"})
        requests += [
            _with(render("POST", "/repositories/bench/secrets", secret, JSON_TYPE), authorized),
            render("GET", f"/s/{shown}", accept="text/html"),
            render("GET", f"/secrets/{opened}"),
            render("GET", "/", accept="text/html"),
            render("GET", "/healthz"),
        ]
    return requests


def _creates(count: int) -> list[bytes]:
    return [create_request(index) for index in range(count)]


def _with(request: bytes, headers: list[str]) -> bytes:
    line, rest = request.split(b"\r\n", 1)
    return b"\r\n".join([line, *(header.encode() for header in headers), rest])


def memory(requests: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return the MiB (PSS) of each process after so many requests, and errors by status."""
    with tempfile.TemporaryDirectory(prefix="fugata-bench-") as folder:
        installation = FreshHome(Path(folder))
        with installation.started() as (_, parent):
            token = installation.token()
            driver = Driver(installation.address)
            driver.add(CONNECTIONS, render("GET", "/livez"))
            done = driver.run(mixed(driver, token, requests))
            driver.close()
            return _mib(parent), dict(done.errors())


def _mib(parent: psutil.Process) -> dict[str, float]:
    found: dict[str, float] = {}
    for process in [parent, *parent.children(recursive=True)]:
        name = f"{_role(process)} {process.pid}"
        found[name] = process.memory_full_info().pss / 2**20
    return found


def _role(process: psutil.Process) -> str:
    words = " ".join(process.cmdline())
    roles = {"gunicorn": "web", " beat ": "beat", " worker ": "worker"}
    return next((role for word, role in roles.items() if word in words), "supervisor")


def main() -> None:
    """Measure, print and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind (5)")
    parser.add_argument("--requests", type=int, default=1000, help="before memory is read (1000)")
    options = parser.parse_args()
    first, later = starts(options.rounds)
    say(f"memory after {options.requests} requests …")
    mib, errors = memory(options.requests)
    result = Result(first, later, options.requests, errors, mib)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(asdict(result), indent=2) + "\n")
    print(_table(result))


def _table(result: Result) -> str:
    rows = [("figure", "", ""), ("---", "---:", "---:")]
    for name, seconds in (("first start", result.first), ("later start", result.later)):
        spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
        rows.append((f"{name}, s", f"{statistics.median(seconds):.2f}", spread))
    rows += [(f"{name.split()[0]}, MiB PSS", f"{mib:.1f}", "") for name, mib in result.mib.items()]
    rows += [("all, MiB PSS", f"{result.total:.1f}", "")]
    rows += [("errors", str(result.errors or "none"), "")]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


if __name__ == "__main__":
    main()
