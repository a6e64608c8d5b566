"""`manage.py restore FILE`: restore a back-up into an empty installation."""

from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser, call_command

from fugata_core.commands import ProgressLine, private_umask
from fugata_core.turns import own_turn
from operations_app.backups.archive import PARTIAL, BadArchive
from operations_app.backups.restore import NotEmpty, restore_backup
from vault_app import keycheck
from vault_app.deletion_hold import DeletionHoldLost
from vault_app.errors import VaultError


class Command(BaseCommand):
    help = "Restore a back-up. One-time shares are closed: they may have been opened since."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--keep-one-time",
            action="store_true",
            help="let one-time shares be opened again, also those that were opened since",
        )
        parser.add_argument("--force", action="store_true", help="replace what is there")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        """Restore the back-up. Raises CommandError: then no row was changed but the identity.

        Values may have been put back already: `fsck --repair` deletes what no row points to.
        """
        with own_turn(), private_umask():
            call_command("migrate", verbosity=0, interactive=False)
        progress = ProgressLine(self.stderr)
        try:
            restored = restore_backup(
                file,
                keep_one_time=options["keep_one_time"],
                force=options["force"],
                progress=progress,
            )
        except (BadArchive, NotEmpty, DeletionHoldLost, VaultError, OSError) as error:
            raise CommandError(f"Nothing was restored: {error}") from None
        progress.done()
        self.stdout.write(
            f"{restored.rows} rows and {restored.values} values are back,"
            f" {restored.closed} one-time shares were closed."
        )
        self._compare_keys()
        if restored.gaps.is_partial:
            raise CommandError(
                f"The restore is partial: {restored.gaps}, because the back-up had none. An earlier"
                " one may have them. See manage.py fsck.",
                returncode=PARTIAL,
            )
        if restored.gaps.lost:
            self.stdout.write(
                f"{restored.gaps.lost} rows are marked as lost: the back-up lacked their values."
            )

    def _compare_keys(self) -> None:
        try:
            keycheck.verify()
        except keycheck.KeyCheckFailed as error:
            self.stderr.write(f"Before you start it: {error}")
