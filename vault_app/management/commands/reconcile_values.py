"""`manage.py reconcile_values [--dry-run] [--force]`: run by hand what beat runs hourly."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from vault_app.backends import remote_store
from vault_app.deletion_hold import HELD, is_deletion_held
from vault_app.errors import StoreUnavailable
from vault_app.reconcile import (
    DOUBTED,
    FOREIGN_STORE,
    TOO_MANY_ORPHANS,
    Report,
    reconcile_all,
)

_IN_DATABASE = (
    "Values are in the database, and are deleted with their rows: there is nothing to reconcile."
)


class Command(BaseCommand):
    help = "Delete values that nothing points to: noted ones, and others older than a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many there are")
        parser.add_argument(
            "--force", action="store_true", help="delete even more than a tenth of what is there"
        )

    def handle(self, *args: Any, dry_run: bool, force: bool, **options: Any) -> None:
        """Reconcile all apps. Raises CommandError if the store is down or --force is needed."""
        if remote_store() is None:
            self.stdout.write(_IN_DATABASE)
            return
        if is_deletion_held():
            self.stdout.write(HELD)
        reports: dict[str, Report] = {}
        try:
            for app, report in reconcile_all(dry_run=dry_run, force=force):
                self.stdout.write(f"{app}: {_sentence(report, dry_run)}")
                reports[app] = report
        except StoreUnavailable as error:
            raise CommandError(f"The value store can't be used: {error}.") from error
        _require_done(reports)


def _require_done(reports: dict[str, Report]) -> None:
    """Raise CommandError if a value that was to be deleted was not, and say why."""
    if failed := sum(report.failed for report in reports.values()):
        raise CommandError(
            f"The value store did not delete {failed} of them. The log says why; the hourly task"
            " tries again."
        )
    if any(report.refused for report in reports.values()):
        raise CommandError(
            f"Nothing points to more than a tenth of what is kept. {TOO_MANY_ORPHANS}"
        )
    if doubted := " and ".join(app for app, report in reports.items() if report.doubted):
        raise CommandError(f"{doubted}: {DOUBTED} {FOREIGN_STORE}")
    if foreign := " and ".join(app for app, report in reports.items() if report.foreign):
        raise CommandError(
            f"The store has no value of {foreign}, though rows need some. {FOREIGN_STORE}"
        )


def _sentence(report: Report, dry_run: bool) -> str:
    found = f"nothing points to {report.orphans} of {report.values} values"
    if report.leftovers or report.noted:
        found = f"{report.leftovers} leftovers deleted, {report.noted} wait; {found}"
    if dry_run or report.refused or report.doubted:
        return f"{found}; none was deleted."
    return f"{found}; {report.deleted} deleted."
