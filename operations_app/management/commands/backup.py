"""`manage.py backup FILE`: everything but the keys, in one file, while the service runs."""

import os
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import pluralize

from audit_app.errors import AuditKeyChanged
from fugata_core.commands import ProgressLine
from operations_app.backups.archive import PARTIAL
from operations_app.backups.backup import take_backup
from operations_app.backups.interruption import ended_by_sigterm
from vault_app.deletion_hold import DeletionHoldLost
from vault_app.errors import VaultError

_WRONG_KEY = (
    "AUDIT_KEY would sign it, and is not the one that sealed the audit trail. Set AUDIT_KEY to the"
    " installation's, or put its file audit_key into FUGATA_HOME. If it is lost for good, or the"
    " trail was changed (see manage.py audit verify), give --with-this-key."
)


class Command(BaseCommand):
    help = "Write a back-up of all rows and sealed values. Keys are not in it: keep them apart."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--force", action="store_true", help="write over a file that is there")
        parser.add_argument(
            "--with-this-key",
            action="store_true",
            help="sign it with AUDIT_KEY, though that did not seal the audit trail",
        )

    def handle(
        self, *args: Any, file: str, force: bool, with_this_key: bool = False, **options: Any
    ) -> None:
        """Write the back-up. Raises CommandError; unless it is partial, no file is left behind."""
        if problem := _problem(file, force):
            raise CommandError(f"No back-up was written: {problem}")
        progress = ProgressLine(self.stderr)
        try:
            with ended_by_sigterm():
                taken = take_backup(Path(file), progress, force=force, any_key=with_this_key)
        except AuditKeyChanged:
            raise CommandError(f"No back-up was written: {_WRONG_KEY}") from None
        except FileExistsError:
            raise CommandError(f"No back-up was written: {_there_already(file)}") from None
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise CommandError(f"No back-up was written: {file}: {why}") from None
        except (VaultError, DeletionHoldLost) as error:
            raise CommandError(f"No back-up was written: {error}") from None
        progress.done()
        self.stdout.write(
            f"{taken.rows} row{pluralize(taken.rows)} and {taken.values}"
            f" value{pluralize(taken.values)} are in {taken.file}. The keys are not: keep"
            " FUGATA_KEYS (or the keyring file), SECRET_KEY and AUDIT_KEY elsewhere."
        )
        if taken.gaps.is_partial:
            raise CommandError(
                f"This back-up is partial: {taken.gaps}. Keep the earlier ones, and see manage.py"
                " fsck.",
                returncode=PARTIAL,
            )
        if taken.gaps.lost:
            self.stdout.write(f"Values that it lacks, marked as lost: {taken.gaps.lost}.")


def _problem(file: str, force: bool) -> str:
    """Return why no back-up can be written there, before anything is read; or nothing."""
    path, folder = Path(file), Path(file).parent
    if not file or file == "-":
        return f"{file!r} names no file. A back-up is not written to the standard output."
    if os.path.isdir(file):  # a Path may raise where it can't look
        return f"{file} is a folder. Name a file in it."
    if not os.path.isdir(folder):
        return f"{file}: there is no folder {folder}, or it can't be looked into."
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return f"{file}: this user may not write into the folder {folder}."
    return _there_already(file) if os.path.lexists(path) and not force else ""


def _there_already(file: str) -> str:
    return f"{file} is there already. Choose another name, or give --force."
