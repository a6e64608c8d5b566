"""`make test`: the whole suite. What starts processes runs once; all else on SQLite, on PostgreSQL,
and what keeps values also with these in Kubernetes.

Two lanes run side by side, for most of what starts processes waits. The faults come last and alone:
how soon a service is back is not asked of a machine that is busy with something else.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.support.kubernetes import HOW, KubernetesServer, assets
from tests.support.parts import PostgresqlServer

Environment = dict[str, str]
_KEYS = "test:" + "A" * 43 + "="
#: Without the cluster that the tests themselves may run in.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("KUBERNETES_")}
_FINE = (0, 5)  # pytest's exit status: all passed, or nothing matched


class Run:
    """The passes of one run: their statuses, and what failed in them."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self.statuses: list[int] = []
        self.failures: list[str] = []

    def pytest(self, title: str, environment: Environment, *selected: str) -> None:
        """Run a pass; each line that it prints begins with its title."""
        command = [sys.executable, "-m", "pytest", *selected, *self._arguments]
        with tempfile.TemporaryDirectory(prefix="fugata-test-") as home:
            given = _ENVIRONMENT | {"FUGATA_HOME": home, "FUGATA_KEYS": _KEYS} | environment
            process = subprocess.Popen(
                command, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            assert process.stdout
            for line in process.stdout:
                self._tell(title, line.rstrip())
            self.statuses.append(process.wait())

    def _tell(self, title: str, line: str) -> None:
        print(f"{title} | {line}", flush=True)
        if line.startswith(("FAILED tests/", "ERROR tests/")):
            self.failures.append(f"{title} | {line}")

    def status(self) -> int:
        """Return pytest's status of the first pass that failed, and say what did."""
        print(*(f"\n{failure}" for failure in self.failures), flush=True)
        wrong = [status for status in self.statuses if status not in _FINE]
        return wrong[0] if wrong else min(self.statuses)


def main(arguments: list[str]) -> int:
    """Run all passes; returns pytest's exit status of the first that fails."""
    if not assets():
        _say_that_it_is_missing()
    run = Run(arguments)
    if "soak" in arguments:
        run.pytest("soak", {})
    else:
        _side_by_side(lambda: _processes(run), lambda: _in_process(run))
        run.pytest("faults", {}, "-m", "faults")
    if not assets():
        _say_that_it_is_missing()
    return run.status()


def _side_by_side(*lanes: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(lane) for lane in lanes]:
            done.result()


def _processes(run: Run) -> None:
    run.pytest("processes", {}, "-m", "processes and not outside and not faults")


def _in_process(run: Run) -> None:
    run.pytest("SQLite", {}, "-m", "not processes")
    for title, environment, marker in _elsewhere():
        run.pytest(title, environment, "-m", f"{marker}not processes")
    run.pytest("outside", {}, "-m", "outside")


def _elsewhere() -> Iterator[tuple[str, Environment, str]]:
    """Yield the other places for rows and values: a title, settings, and who runs there."""
    server = PostgresqlServer()
    try:
        yield "PostgreSQL", {"DATABASE_URL": server.new_database()}, ""
        if assets():
            with_values = {"DATABASE_URL": server.new_database()}
            yield from _over_kubernetes(with_values)
    finally:
        server.close()


def _over_kubernetes(environment: Environment) -> Iterator[tuple[str, Environment, str]]:
    server = KubernetesServer()
    try:
        yield "Kubernetes", environment | server.settings(), "values and "
    finally:
        server.close()


def _say_that_it_is_missing() -> None:
    print(f"== Kubernetes: SKIPPED, for want of an API server. {HOW}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
