"""A PostgreSQL server on a disk of its own, and a synchronous standby that can take its place."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from tests.support.servers.parts import wait_until
from tests.support.servers.restartable import RestartablePostgresql


class ReplicatedPostgresql(RestartablePostgresql):
    """The same; the data are in `folder`, the standby's beside them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._standby = folder.with_name(f"{folder.name}-standby")

    @property
    def socket(self) -> Path:
        """The socket that the first server listens on."""
        return Path(parse_qs(urlsplit(self._uri).query)["host"][0]) / ".s.PGSQL.5432"

    def kill(self) -> None:
        """Kill all processes of the server at once."""
        processes = self.processes()
        for process in processes:
            process.kill()
        processes[0].wait(10)

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the administrator of the first server, also of one made read-only."""
        return _execute(self._uri, statement)

    def forbid_writing(self) -> None:
        """Make the first server read-only: its sessions too."""
        self.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        self.execute("SELECT pg_reload_conf()")

    def allow_writing(self) -> None:
        """Let the first server be written to again."""
        self.execute("ALTER SYSTEM RESET default_transaction_read_only")
        self.execute("SELECT pg_reload_conf()")

    # --- The standby ---

    def add_standby(self) -> None:
        """Make a standby, and have every commit wait for it."""
        self._standby.mkdir(mode=0o700)
        if self.system_user:
            shutil.chown(self._standby, self.system_user)
        self._run("pg_basebackup", "-D", str(self._standby), "-R", "-X", "stream", "-c", "fast",
                  "-U", "postgres", "-h", str(self.socket.parent))  # fmt: skip
        (self._standby / ".s.PGSQL.5432.lock").unlink()  # copied with the rest
        options = f'-h "" -k {self._standby}'
        log = str(self._standby / "log")
        self._run("pg_ctl", "-w", "-o", options, "-l", log, "-D", str(self._standby), "start")
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        wait_until(self._is_synchronous, "a synchronous standby")

    def _is_synchronous(self) -> bool:
        states = self.execute("SELECT sync_state FROM pg_stat_replication")
        return [state for (state,) in states] == ["sync"]

    def promote(self) -> Path:
        """Make the standby the server; returns the socket that it listens on."""
        self._run("pg_ctl", "-w", "-D", str(self._standby), "promote")
        return self.standby_socket

    @property
    def standby_socket(self) -> Path:
        """The socket that the standby listens on."""
        return self._standby / ".s.PGSQL.5432"

    def on_standby(self, url: str) -> str:
        """Return the URL of the same database on the standby."""
        return url.replace(str(self.socket.parent), str(self._standby))

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self._server.bin_path / name), *arguments]
        subprocess.run(
            command, check=True, user=self.system_user, stdout=subprocess.DEVNULL, cwd="/"
        )

    def close(self) -> None:
        """Stop both servers and remove their folders."""
        if (self._standby / "postmaster.pid").exists():
            self._run("pg_ctl", "-m", "immediate", "-D", str(self._standby), "stop")
        super().close()


def _execute(uri: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []
