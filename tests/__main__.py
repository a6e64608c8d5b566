"""`make test`: the whole suite on SQLite, then what runs in-process again on PostgreSQL."""

import os
import subprocess
import sys
import tempfile

from tests.support.parts import PostgresqlServer


def main(arguments: list[str]) -> int:
    """Run both passes; returns pytest's exit status of the first that fails."""
    with tempfile.TemporaryDirectory(prefix="fugata-test-") as home:
        environment = os.environ | {"FUGATA_HOME": home, "FUGATA_KEYS": _KEYS}
        status = _pytest(environment, "SQLite, and all that starts processes", arguments)
        if status not in (0, 5) or "soak" in arguments:
            return status
        server = PostgresqlServer()
        try:
            environment |= {"DATABASE_URL": server.new_database()}
            again = _pytest(
                environment, "PostgreSQL, in-process", ["-m", "not processes", *arguments]
            )
        finally:
            server.close()
        return again if again != 5 else status


_KEYS = "test:" + "A" * 43 + "="


def _pytest(environment: dict[str, str], title: str, arguments: list[str]) -> int:
    print(f"== {title}", flush=True)
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
