"""`manage.py prepare`: migrations and keys, before the first request and at every upgrade."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import connection
from django.db.migrations.exceptions import InconsistentMigrationHistory

from fugata_core.checks import START
from fugata_core.commands import NOT_MIGRATED, database_sentence, private_umask
from fugata_core.database_failures import ANY_ERROR
from fugata_core.migration_state import unapplied_migrations
from fugata_core.postgresql.encoding import refuse_encoding
from fugata_core.postgresql.role import give_settings
from fugata_core.turns import own_turn
from fugata_site.settings.environment import write_once
from vault_app import keycheck
from vault_app.backends import reset_backends
from vault_app.keys import local
from vault_app.presence import MOVING, misplaced


class Command(BaseCommand):
    help = "Migrate the database, make keys for a new one, and compare the keys of an old one."
    requires_system_checks = [START]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check-only",
            action="store_true",
            help="migrate nothing, make no key, only compare",
        )
        parser.add_argument(
            "--wait",
            type=int,
            default=0,
            metavar="SECONDS",
            help="with --check-only: wait so long for another process to migrate the database",
        )

    def handle(self, *args: Any, check_only: bool = False, wait: int = 0, **options: Any) -> None:
        """Prepare, or only check. Raises CommandError with a sentence that says what to do."""
        try:
            if check_only:
                _wait_until_migrated(wait)
                refuse_encoding()
                keycheck.verify()
            else:
                with own_turn():
                    self._prepare()
            if what := misplaced():
                self.stdout.write(f"{what} Until that is mended, they can't be opened. {MOVING}")
        except keycheck.KeyCheckFailed as error:
            raise CommandError(str(error)) from error
        except InconsistentMigrationHistory as error:
            raise CommandError(
                "DATABASE_URL: the database was made by a version from before the first release,"
                " whose tables have other names. Start with a new database."
            ) from error
        except ANY_ERROR as error:
            sentence = database_sentence(error)
            if sentence is None:
                raise
            raise CommandError(sentence) from error

    def _prepare(self) -> None:
        refuse_encoding()
        give_settings()
        with private_umask():
            call_command("migrate", verbosity=0, interactive=False)
        self._generate_keyring()
        keycheck.verify()

    def _generate_keyring(self) -> None:
        """Make a keyring if none is configured and the database has never used a key."""
        path = Path(settings.KEYRING_FILE)
        wanted = str(settings.KMS_PROVIDER["BACKEND"]).endswith(".LocalKeyring")
        if not wanted or settings.FUGATA_KEYS or path.exists() or not keycheck.is_new():
            return
        if settings.IN_CLUSTER:
            raise CommandError(
                "FUGATA_KEYS: must be set inside a cluster, where a generated key vanishes with"
                " the pod. Make one with: python manage.py generate_key"
            )
        write_once(path, local.generate())
        reset_backends()
        self.stdout.write(f"A key was made: {path}. Back it up: nothing opens without it.")


def _wait_until_migrated(seconds: int) -> None:
    """Return once the database has all migrations of this code; it may have newer ones besides.

    Raises CommandError, or the database's error, after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if not unapplied_migrations():
                return
            problem: Exception = CommandError(NOT_MIGRATED)
        except ANY_ERROR as error:
            connection.close()
            problem = error
        if time.monotonic() >= deadline:
            raise problem
        time.sleep(min(1.0, max(deadline - time.monotonic(), 0.0)))
