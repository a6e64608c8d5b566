"""`manage.py restore FILE`: restore a back-up into an empty installation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.template.defaultfilters import pluralize

from fugata_core.commands import ProgressLine, private_umask
from fugata_core.postgresql.encoding import refuse_encoding
from fugata_core.turns import own_turn
from operations_app.backups import snapshot
from operations_app.backups.archive import PARTIAL, BadArchive, Reader
from operations_app.backups.interruption import ended_by_sigterm
from operations_app.backups.restore import (
    NotEmpty,
    RestoreSummary,
    require_same_version,
    restore_backup,
)
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
        _require_readable(file)
        refuse_encoding()
        with ended_by_sigterm(), own_turn():
            with private_umask():
                call_command("migrate", verbosity=0, interactive=False)
            restored = self._restore(file, options["keep_one_time"], options["force"])
        self.stdout.write(_result(restored))
        self._compare_keys()
        if what := _shortfall(restored):
            raise CommandError(what, returncode=PARTIAL)
        if lost := restored.gaps.lost:
            self.stdout.write(f"Values that the back-up lacked, marked as lost: {lost}.")

    def _restore(self, file: Path, keep_one_time: bool, force: bool) -> RestoreSummary:
        progress = ProgressLine(self.stderr)

        def say(sentence: str) -> None:
            progress.done()
            self.stderr.write(sentence)

        try:
            restored = restore_backup(
                file,
                keep_one_time=keep_one_time,
                force=force,
                progress=progress,
                say=say,
            )
        except (BadArchive, NotEmpty, DeletionHoldLost, VaultError, OSError) as error:
            raise CommandError(f"Nothing was restored: {error}") from None
        progress.done()
        return restored

    def _compare_keys(self) -> None:
        try:
            keycheck.verify()
        except keycheck.KeyCheckFailed as error:
            self.stderr.write(f"Before you start it: {error}")


def _require_readable(file: Path) -> None:
    """Raise CommandError, before anything is done, unless the file is a back-up of this version."""
    try:
        with Reader(file) as archive:
            require_same_version(archive, snapshot.newest_of_this_code())
    except BadArchive as error:
        raise CommandError(f"Nothing was restored: {error}") from None


def _result(restored: RestoreSummary) -> str:
    rows, values, closed = restored.rows, restored.values, restored.closed
    return (
        f"{rows} row{pluralize(rows)} and {values} value{pluralize(values)} are back,"
        f" {closed} one-time share{pluralize(closed)} {pluralize(closed, 'was,were')} closed."
    )


def _shortfall(restored: RestoreSummary) -> str:
    """Return what is missing, or may be, and why; or nothing."""
    said = []
    if restored.gaps.is_partial:
        said = [f"The restore is partial: {restored.gaps}.", *_causes(restored)]
    if restored.unseen:
        said.append(f"Not all values were seen in the store at the end ({restored.unseen}).")
    return " ".join([*said, "See manage.py fsck."]) if said else ""


def _causes(restored: RestoreSummary) -> Iterator[str]:
    if lacked := restored.gaps.lacking - restored.gone:
        yield f"Values that the back-up lacked: {lacked}. (An earlier one may have more.)"
    if restored.gone:
        yield (
            f"Values that went from the store meanwhile: {restored.gone}. (Restore once more, with"
            " --force.)"
        )
