"""`manage.py fsck [--repair]`: do rows and values match, and are their keys available?"""

from collections import Counter
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from fugata_core.commands import ProgressLine
from operations_app.backups.fsck import find_inconsistencies, repair
from vault_app.errors import VaultError


class Command(BaseCommand):
    help = "Report rows without values, values without rows, what does not open, missing keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help="delete rows whose value is gone, and values that belong to no row",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, and repair if asked. Raises CommandError if a problem remains."""
        progress = ProgressLine(self.stderr)
        try:
            found = list(find_inconsistencies(progress))
            progress.done()
            for finding in found:
                self.stdout.write(finding.what)
            repaired = repair(found) if options["repair"] else Counter[str]()
        except VaultError as error:
            raise CommandError(f"The check broke off: {error}") from None
        for kind, count in sorted(repaired.items()):
            self.stdout.write(f"Repaired: {kind}, {count}")
        left = Counter(finding.kind for finding in found) - repaired
        if left:
            raise CommandError(", ".join(f"{kind}: {n}" for kind, n in sorted(left.items())))
        self.stdout.write("All rows have values that belong to them, and the keys are at hand.")
