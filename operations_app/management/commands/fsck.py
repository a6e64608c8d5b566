"""`manage.py fsck [--repair [--force]]`: do rows and values match, and are their keys available?"""

from collections import Counter
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from fugata_core.commands import ProgressLine
from operations_app.backups.fsck import Examination, Kind, examine
from operations_app.backups.repair import TooMuchMissing, repair
from vault_app import leftovers
from vault_app.errors import VaultError


class Command(BaseCommand):
    help = "Report rows without values, values without rows, what does not open, missing keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help="mark rows whose value is gone, and delete values that belong to no row",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="repair even if more than a tenth of all rows or values is alone",
        )

    def handle(self, *args: Any, force: bool, **options: Any) -> None:
        """Check, and repair if asked. Raises CommandError if a problem remains."""
        try:
            seen = self._examine()
            repaired = repair(seen, force=force) if options["repair"] else Counter[Kind]()
        except VaultError as error:
            raise CommandError(f"The check broke off: {error}") from None
        except TooMuchMissing as error:
            raise CommandError(f"Nothing was repaired. {error}") from None
        for kind, count in sorted(repaired.items()):
            self.stdout.write(f"{_DONE[kind]}: {kind}, {count}")
        if overdue := leftovers.overdue():
            self.stdout.write(
                f"{overdue} values whose rows are gone could not be deleted for more than a day;"
                " manage.py reconcile_values says why."
            )
        self._conclude(seen.count(), repaired)

    def _examine(self) -> Examination:
        progress = ProgressLine(self.stderr)
        seen = examine(progress)
        progress.done()
        for each in seen.found:
            self.stdout.write(each.what)
        return seen

    def _conclude(self, found: Counter[Kind], repaired: Counter[Kind]) -> None:
        lost = found.pop(Kind.LOST, 0) + repaired[Kind.MISSING]
        left = found - repaired
        if left:
            raise CommandError(", ".join(f"{kind}: {n}" for kind, n in sorted(left.items())))
        but = f" But {lost} are marked as rows whose value is lost." if lost else ""
        self.stdout.write(
            f"All rows have values that belong to them, and the keys are at hand.{but}"
        )


_DONE = {Kind.MISSING: "Marked", Kind.FOUND: "No longer marked", Kind.ORPHAN: "Deleted"}
