"""`manage.py backup FILE`: everything but the keys, in one file, while the service runs."""

from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from fugata_core.commands import ProgressLine
from operations_app.backups.archive import PARTIAL
from operations_app.backups.backup import take_backup
from vault_app.deletion_hold import DeletionHoldLost
from vault_app.errors import VaultError


class Command(BaseCommand):
    help = "Write a back-up of all rows and sealed values. Keys are not in it: keep them apart."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--force", action="store_true", help="write over a file that is there")

    def handle(self, *args: Any, file: Path, force: bool, **options: Any) -> None:
        """Write the back-up. Raises CommandError; unless it is partial, no file is left behind."""
        if file.exists() and not force:
            raise CommandError(f"{file} is there already. Choose another name, or give --force.")
        progress = ProgressLine(self.stderr)
        try:
            taken = take_backup(file, progress)
        except (VaultError, DeletionHoldLost, OSError) as error:
            raise CommandError(f"No back-up was written: {error}") from None
        progress.done()
        self.stdout.write(
            f"{taken.rows} rows and {taken.values} values are in {taken.file}. The keys are not:"
            " keep FUGATA_KEYS (or the keyring file), SECRET_KEY and AUDIT_KEY elsewhere."
        )
        if taken.missing:
            raise CommandError(
                f"This back-up is partial: {taken.missing} rows have no value. Keep the earlier"
                " ones, and see manage.py fsck.",
                returncode=PARTIAL,
            )
