"""`make test`: the whole suite on SQLite; on PostgreSQL what runs in-process, and with values in
Kubernetes what keeps some.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tests.support.kubernetes import HOW, KubernetesServer, assets
from tests.support.parts import PostgresqlServer

Environment = dict[str, str]
_KEYS = "test:" + "A" * 43 + "="
#: Without the cluster that the tests themselves may run in.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("KUBERNETES_")}
_FINE = (0, 5)  # pytest's exit status: all passed, or nothing matched


def main(arguments: list[str]) -> int:
    """Run all passes; returns pytest's exit status of the first that fails."""
    if not assets():
        _say_that_it_is_missing()
    with tempfile.TemporaryDirectory(prefix="fugata-test-") as home:
        environment = _ENVIRONMENT | {"FUGATA_HOME": home, "FUGATA_KEYS": _KEYS}
        statuses = [_pytest(environment, "SQLite, and all that starts processes", arguments)]
        if statuses[0] in _FINE and "soak" not in arguments:
            statuses += _again(environment, arguments)
    if not assets():
        _say_that_it_is_missing()
    return next((one for one in statuses if one not in _FINE), min(statuses))


def _again(environment: Environment, arguments: list[str]) -> Iterator[int]:
    server = PostgresqlServer()
    try:
        environment |= {"DATABASE_URL": server.new_database()}
        yield _pytest(environment, "PostgreSQL, in-process", ["-m", "not processes", *arguments])
        if assets():
            yield _over_kubernetes(environment | {"DATABASE_URL": server.new_database()}, arguments)
    finally:
        server.close()


def _over_kubernetes(environment: Environment, arguments: list[str]) -> int:
    server = KubernetesServer()
    try:
        title = "PostgreSQL, with values in Kubernetes"
        selected = ["-m", "values and not processes", *arguments]
        return _pytest(environment | server.settings(), title, selected)
    finally:
        server.close()


def _say_that_it_is_missing() -> None:
    print(f"== Kubernetes: SKIPPED, for want of an API server. {HOW}", flush=True)


def _pytest(environment: Environment, title: str, arguments: list[str]) -> int:
    print(f"== {title}", flush=True)
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
