"""The runner behind `make test`, `make test-all` and `make soak`.

`python -m tests [--all | --soak] [--repeat] [what pytest takes]`. Without an option: the product in
this process, over SQLite and over PostgreSQL. `--all` adds what starts processes, what is seen from
outside, values in Kubernetes, and a short pass of faults. `--repeat` runs each failed test once
more, alone; one that passes then is printed as FLAKY and does not fail the run.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.support.runner.passes import Environment, Pass, Run
from tests.support.servers.kubernetes import HOW, KubernetesServer, assets
from tests.support.servers.parts import PostgresqlServer

_IN_PROCESS = "not processes and not kubernetes"
_PROCESSES = "processes and not outside and not faults"
_MODES = ("--all", "--soak", "--repeat")


def main(arguments: list[str]) -> int:
    """Run the passes that are asked for; returns 0 where all is well, else pytest's status."""
    modes = [one for one in arguments if one in _MODES]
    run = Run([one for one in arguments if one not in _MODES], repeat="--repeat" in modes)
    if "--soak" in modes:
        run(Pass("soak", "soak"))
    else:
        _in_process(run)
    if "--all" in modes:
        _all_else(run)
    return run.conclude()


def _in_process(run: Run) -> None:
    """Run what needs a database on both, and all else once."""
    server = PostgresqlServer()
    try:
        on_postgresql = {"DATABASE_URL": server.new_database()}
        _side_by_side(
            lambda: run(Pass("SQLite", _IN_PROCESS)),
            lambda: run(Pass("PostgreSQL", f"{_IN_PROCESS} and database", on_postgresql)),
        )
    finally:
        server.close()


def _all_else(run: Run) -> None:
    """Run what takes longer, in two lanes, for most of what starts processes waits.

    The faults come last and alone: how soon a service is back is not asked of a machine that is
    busy with something else.
    """
    with _cluster(run) as cluster:
        shared = {"FUGATA_TEST_KUBERNETES": str(cluster.folder)} if cluster else {}
        _side_by_side(
            lambda: run(Pass("processes", _PROCESSES, shared, workers=2)),
            lambda: _from_outside(run, shared, cluster),
        )
    run(Pass("faults", "faults"))


@contextmanager
def _cluster(run: Run) -> Iterator[KubernetesServer | None]:
    """Yield an API server for all passes, where there is one."""
    if not assets():
        run.report_missing(f"Kubernetes: no API server. {HOW}")
        yield None
        return
    server = KubernetesServer()
    try:
        yield server
    finally:
        server.close()


def _from_outside(run: Run, shared: Environment, cluster: KubernetesServer | None) -> None:
    if cluster:
        _with_values_there(run, shared | cluster.settings())
    run(Pass("outside", "outside", shared))


def _with_values_there(run: Run, settings: Environment) -> None:
    """Run what keeps values with these in Kubernetes, and what is about Kubernetes."""
    server = PostgresqlServer()
    try:
        settings |= {"DATABASE_URL": server.new_database()}
        run(Pass("Kubernetes", "not processes and (values or kubernetes)", settings))
    finally:
        server.close()


def _side_by_side(*lanes: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(lane) for lane in lanes]:
            done.result()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
