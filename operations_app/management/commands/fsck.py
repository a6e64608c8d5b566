"""`manage.py fsck [--repair [--force]]`: do rows and values match, and are their keys available?"""

from collections import Counter
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import pluralize

from fugata_core.commands import ProgressLine
from fugata_core.terminal import escaped
from operations_app.backups.fsck import Examination, Kind, examine
from operations_app.backups.repair import (
    DeletionsHeld,
    TooMuchMissing,
    doubt,
    repair,
    require_no_hold,
)
from vault_app import leftovers
from vault_app.errors import VaultError
from vault_app.lost_values import REMEDY
from vault_app.models import Installation
from vault_app.presence import MOVING, misplaced


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
            if options["repair"]:
                require_no_hold()  # before everything is read
            seen = self._examine()
            repaired = repair(seen, force=force) if options["repair"] else Counter[Kind]()
        except VaultError as error:
            raise CommandError(f"The check broke off: {error}") from None
        except DeletionsHeld as error:
            raise CommandError(f"Nothing was repaired. {error}") from None
        except TooMuchMissing as error:
            raise CommandError(
                _joined("Nothing was repaired.", str(error), *_misplaced())
            ) from None
        for kind, count in sorted(repaired.items()):
            self.stdout.write(f"{_DONE[kind]}: {kind}, {count}")
        if overdue := leftovers.overdue():
            self.stdout.write(
                f"{overdue} value{pluralize(overdue)} that nothing points to could not be deleted"
                " for more than a day; manage.py reconcile_values says why."
            )
        self._conclude(seen, repaired if options["repair"] else None)

    def _examine(self) -> Examination:
        progress = ProgressLine(self.stderr)
        seen = examine(progress)
        progress.done()
        for each in seen.found:
            self.stdout.write(escaped(each.what))
        return seen

    def _conclude(self, seen: Examination, done: Counter[Kind] | None) -> None:
        """Say what is left, and what comes next. `done`: what was repaired, if that was asked."""
        found, repaired = seen.count(), done or Counter[Kind]()
        lost = found.pop(Kind.LOST, 0) + repaired[Kind.MISSING]
        marked = _marked(lost, seen.rows) if lost else ""
        if left := found - repaired:
            counts = ", ".join(f"{kind}: {n}" for kind, n in sorted(left.items()))
            what_next = doubt(seen) or _next(left, is_repaired=done is not None)
            also = "" if seen.lacks_values else marked
            raise CommandError(_joined(f"{counts}.", also, *_misplaced(), what_next))
        if seen.lacks_values:
            raise CommandError(_joined(marked, *_misplaced(), REMEDY))
        if marked:
            self.stdout.write(f"{marked} {REMEDY}")
        self.stdout.write(_well(seen.rows, "other " if marked else "", seen.rows - lost))
        for installation in Installation.objects.all():  # none, if it never used Kubernetes
            self.stdout.write(
                "Secrets of this installation in Kubernetes have the label"
                f" app.kubernetes.io/instance={installation.uuid}."
            )


def _well(rows: int, other: str, whole: int) -> str:
    if not rows:
        return "0 rows: nothing is kept here."
    have = pluralize(
        whole, "row has a value that belongs to it,rows have values that belong to them"
    )
    return f"All {whole} {other}{have}, and the keys are at hand."


def _marked(lost: int, rows: int) -> str:
    have, their = pluralize(lost, "has,have"), pluralize(lost, "its,their")
    return f"{lost} of {rows} rows {have} lost {their} value (marked)."


def _misplaced() -> tuple[str, ...]:
    what = misplaced()
    return (what, MOVING) if what else ()


def _next(left: Counter[Kind], *, is_repaired: bool) -> str:
    """Return what is next where so little is wrong that it can be repaired."""
    keys = _KEYS if left[Kind.KEY] or left[Kind.CHECK] else ""
    if is_repaired:
        stays = "manage.py reconcile_values says why values stay." if left[Kind.ORPHAN] else ""
        return _joined(keys, stays)
    acts = [act for kind, act in _ACTS.items() if left[kind]]
    return _joined(keys, f"manage.py fsck --repair {' and '.join(acts)}." if acts else "")


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


_KEYS = (
    "Restore the keys before anything else: manage.py prepare --check-only says where they belong."
)
_ACTS = {
    Kind.MISSING: "marks rows whose value is gone for good",
    Kind.FOUND: "takes the marks off",
    Kind.ORPHAN: "deletes values without rows",
}
_DONE = {Kind.MISSING: "Marked", Kind.FOUND: "No longer marked", Kind.ORPHAN: "Deleted"}
