"""`manage.py prepare`: migrations and keys, before the first request and at every upgrade."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import connection
from django.db.migrations.exceptions import InconsistentMigrationHistory

from fugata_core.checks import START
from fugata_core.commands import NOT_MIGRATED, database_sentence
from fugata_core.database_failures import ANY_ERROR
from fugata_core.migration_state import unapplied_migrations
from fugata_core.postgresql.encoding import refuse_encoding
from fugata_core.postgresql.role import give_settings
from fugata_core.turns import own_turn
from fugata_site.settings.environment import write_once
from vault_app import keycheck
from vault_app.backends import reset_backends
from vault_app.errors import VaultError
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
            help="wait so long for the database and the key service, and with --check-only for"
            " another process to migrate the database",
        )

    def handle(self, *args: Any, check_only: bool = False, wait: int = 0, **options: Any) -> None:
        """Prepare, or only check. Raises CommandError with a sentence that says what to do."""
        deadline = time.monotonic() + wait
        try:
            if check_only:
                _keep_trying(_require_migrated, deadline)
                refuse_encoding()
                _keep_trying(keycheck.verify, deadline)
            else:
                if wait:
                    _keep_trying(connection.ensure_connection, deadline)
                with own_turn():
                    self._prepare(deadline)
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

    def _prepare(self, deadline: float) -> None:
        refuse_encoding()
        give_settings()
        call_command("migrate", verbosity=0, interactive=False)
        self._generate_keyring()
        _keep_trying(keycheck.verify, deadline)
        with suppress(VaultError):  # it opens, as it is
            keycheck.renew_check_value()

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


def _require_migrated() -> None:
    """Raise CommandError unless the database has all migrations of this code; it may have newer
    ones besides.
    """
    if unapplied_migrations():
        raise NotMigrated(NOT_MIGRATED)


class NotMigrated(CommandError):
    """Another process may be migrating the database."""


def _keep_trying(attempt: Callable[[], object], deadline: float) -> None:
    """Make an attempt until it succeeds, or, after the deadline, raises what may pass."""
    while True:
        try:
            attempt()
        except (NotMigrated, keycheck.KeyCheckFailed, *ANY_ERROR) as error:
            is_lasting = isinstance(error, keycheck.KeyCheckFailed) and not error.may_pass
            if is_lasting or time.monotonic() >= deadline:
                raise
            if isinstance(error, ANY_ERROR):
                connection.close()
        else:
            return
        time.sleep(min(1.0, max(deadline - time.monotonic(), 0.0)))
