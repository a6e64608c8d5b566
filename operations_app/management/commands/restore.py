"""`manage.py restore FILE`: restore a back-up into an empty installation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import DataError, IntegrityError
from django.template.defaultfilters import pluralize

from audit_app import chain
from audit_app.errors import HeadUnavailable
from audit_app.heads import head_store
from fugata_core.commands import ProgressLine
from fugata_core.postgresql.encoding import refuse_encoding
from fugata_core.terminal import escaped
from fugata_core.turns import own_turn
from operations_app.backups import snapshot
from operations_app.backups.archive import PARTIAL
from operations_app.backups.archived import require_known_files
from operations_app.backups.archived_keys import KeysMissing, require_keys
from operations_app.backups.interruption import ended_by_sigterm
from operations_app.backups.reader import BadArchive, Reader
from operations_app.backups.restore import (
    NotEmpty,
    RestoreSummary,
    require_same_version,
    restore_backup,
)
from vault_app import keycheck
from vault_app.deletion_hold import DeletionHoldLost
from vault_app.errors import VaultError

_UNSIGNED = (
    "Warning: {doubt}. It is restored all the same (--without-signature). Whoever could write to"
    " the file may have added accounts, members of repositories and access tokens, and changed the"
    " trail."
)
#: Superusers that are named; a forged file may have any number.
_NAMED = 50


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
        parser.add_argument(
            "--without-signature",
            action="store_true",
            help="restore also what was signed with an AUDIT_KEY that is lost, or was changed",
        )
        parser.add_argument(
            "--without-keys",
            action="store_true",
            help="restore also where keys of its values are lost, or can't be asked from here",
        )

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        """Restore the back-up. Raises CommandError: then no row was changed but the identity.

        Values may have been put back already: `fsck --repair` deletes what no row points to.
        """
        signed, keyed = not options["without_signature"], not options["without_keys"]
        with _readable(file, signed=signed, keyed=keyed) as archive:
            if archive.doubt:
                self.stderr.write(_UNSIGNED.format(doubt=archive.doubt))
            refuse_encoding()
            with ended_by_sigterm(), own_turn():
                call_command("migrate", verbosity=0, interactive=False)
                restored = self._restore(archive, options["keep_one_time"], options["force"])
        self.stdout.write(_result(restored))
        if archive.doubt:
            self.stderr.write(_accounts())
        self._compare_keys()
        self._compare_head()
        if what := _shortfall(restored):
            raise CommandError(what, returncode=PARTIAL)
        if lost := restored.gaps.lost:
            self.stdout.write(f"Values that the back-up lacked, marked as lost: {lost}.")

    def _restore(self, archive: Reader, keep_one_time: bool, force: bool) -> RestoreSummary:
        progress = ProgressLine(self.stderr)

        def say(sentence: str) -> None:
            progress.done()
            self.stderr.write(sentence)

        try:
            restored = restore_backup(
                archive,
                keep_one_time=keep_one_time,
                force=force,
                progress=progress,
                say=say,
            )
        except (BadArchive, NotEmpty, DeletionHoldLost, VaultError, OSError) as error:
            raise _refusal(error) from None
        except Exception as error:
            if not archive.doubt and not isinstance(error, IntegrityError | DataError):
                raise
            raise CommandError(
                "Nothing was restored: the back-up has what are no rows of this version"
                f" ({type(error).__name__})."
            ) from None
        progress.done()
        return restored

    def _compare_keys(self) -> None:
        try:
            keycheck.verify()
        except keycheck.KeyCheckFailed as error:
            self.stderr.write(f"Before you start it: {error}")

    def _compare_head(self) -> None:
        """Say what helps if the trail is an earlier one than the worker has sealed."""
        heads = head_store()
        try:
            kept = heads.read()
        except HeadUnavailable as error:
            self.stderr.write(f"The trail was not compared with the worker's head. {error}.")
            return
        if kept is not None and not chain.goes_on_from(kept):
            self.stderr.write(
                f"The audit trail is not the one whose head {heads.where} keeps: the worker seals"
                " nothing until you run manage.py audit reset-head."
            )


def _refusal(error: Exception) -> CommandError:
    """Return what ends the command; the error may quote what a forged back-up has."""
    return CommandError(f"Nothing was restored: {escaped(str(error))}")


@contextmanager
def _readable(file: Path, *, signed: bool, keyed: bool) -> Iterator[Reader]:
    """Open a back-up of this version, as it was written; if `keyed`, only with the keys it needs.

    Raises CommandError before anything is done.
    """
    try:
        archive = Reader(file, signed=signed)
    except BadArchive as error:
        raise _refusal(error) from None
    with archive:
        _require_fit(archive, keyed)
        yield archive


def _require_fit(archive: Reader, keyed: bool) -> None:
    try:
        require_same_version(archive, snapshot.newest_of_this_code())
        require_known_files(archive)
        archive.verify()
        if keyed:
            require_keys(archive)
    except (BadArchive, KeysMissing) as error:
        raise _refusal(error) from None


def _accounts() -> str:
    """Return who may do what in the console by now, for an operator to look at."""
    names = User.objects.filter(is_superuser=True).order_by("pk").values_list("username", flat=True)
    named = [repr(name) for name in names[: _NAMED + 1]]  # of a forged file: control characters too
    if len(named) > _NAMED:
        named[_NAMED] = f"{names.count() - _NAMED} more"
    staff = User.objects.filter(is_staff=True).count()
    return (
        f"It brought these superusers: {', '.join(named) or 'none'}. Accounts with access to the"
        f" console: {staff}. Look at each before you start the service."
    )


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
