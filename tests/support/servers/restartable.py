"""A PostgreSQL server that a test may stop and start again."""

from tests.support.servers.parts import PostgresqlServer


class RestartablePostgresql(PostgresqlServer):
    """The same, in the same place, when it is back."""

    def stop(self) -> None:
        """Stop the server; its data stay."""
        self._server.stop()

    def start(self) -> None:
        """Start it again and wait until it answers."""
        self._server.ensure_postgres_running()
