"""A real PgBouncer in transaction mode, in front of a test's PostgreSQL."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.servers.parts import PostgresqlServer, free_port, wait_until

#: Fewer sessions than the service has threads: two statements of one thread seldom meet the same.
SESSIONS = 2
_CONFIGURATION = """
[databases]
* = host={host}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
"""


def pgbouncer() -> str | None:
    """Return the path of PgBouncer, if it is installed."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class PgBouncer:
    """One for all databases of a server; it is run by the server's user, for it refuses root.

    `settings`: lines of its configuration.
    """

    def __init__(self, server: PostgresqlServer, *settings: str) -> None:
        binary = pgbouncer()
        assert binary
        self._port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="fugata-pgbouncer-"))
        self._folder.chmod(0o755)
        (self._folder / "users").write_text('"postgres" ""\n')
        command = [binary, str(self._configure(server.new_database(), settings))]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, user=server.system_user, stdout=log, stderr=subprocess.STDOUT, cwd="/"
            )
        wait_until(lambda: "process up" in self.logged(), "PgBouncer")

    def _configure(self, url: str, settings: Iterable[str]) -> Path:
        (host,) = parse_qs(urlsplit(url).query)["host"]
        path = self._folder / "pgbouncer.ini"
        given = {"host": host, "port": self._port, "folder": self._folder, "sessions": SESSIONS}
        path.write_text("\n".join([_CONFIGURATION.format(**given), *settings]))
        return path

    def url(self, direct: str, query: str) -> str:
        """Return the URL by way of PgBouncer of a database that is at `direct`."""
        return f"postgresql://postgres@127.0.0.1:{self._port}{urlsplit(direct).path}?{query}"

    def logged(self) -> str:
        """Return what it said."""
        return (self._folder / "log").read_text(errors="replace")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._folder)
