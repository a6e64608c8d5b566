"""Mends what `fsck` found, unless it found so much that the store may be the wrong one.

No row is ever deleted: it has the only copy of its data key, without which a value that comes back
opens for nobody.
"""

from collections import Counter

from django.db.models import Exists, Max
from django.template.defaultfilters import pluralize

from fugata_core.clock import iso
from operations_app.backups.fsck import Examination, Kind, orphans
from vault_app.backends import remote_store
from vault_app.deletion_hold import live_holds
from vault_app.lost_values import exceeds_tenth, forget_unused, mark, unmark
from vault_app.reconcile import FOREIGN_STORE, TOO_MANY_ORPHANS, reconcile_all


class DeletionsHeld(Exception):
    """A back-up or a restore runs, or was killed lately; the message says when to try again."""


class TooMuchMissing(Exception):
    """More than a tenth has nothing that belongs to it; the message says what to look at."""


def repair(seen: Examination, *, force: bool = False) -> Counter[Kind]:
    """Mark rows whose value is gone, and delete values that no row points to.

    Rows whose key is missing, or whose value does not open, stay as they are: a key may come back.
    Returns how many were repaired, by kind. Raises StoreUnavailable, DeletionsHeld; TooMuchMissing
    unless `force`.
    """
    count = seen.count()
    require_no_hold()
    if not force:
        require_most(seen)
    mark(seen.names(Kind.MISSING))
    unmark(seen.names(Kind.FOUND))
    forget_unused()
    done = Counter({kind: count[kind] for kind in (Kind.MISSING, Kind.FOUND)})
    # Where so many rows lack values, those without rows may belong to a newer database.
    if count[Kind.ORPHAN] and not seen.lacks_values:
        done[Kind.ORPHAN] = _delete_orphans(force=force)
    return +done


def require_no_hold() -> None:
    """Raise DeletionsHeld while a back-up or a restore has values that no row points to yet."""
    until = live_holds().aggregate(latest=Max("until"))["latest"]
    if until is not None:
        raise DeletionsHeld(
            "A back-up or a restore is running, and holds deletions: run this again when it has"
            f" ended. If it was killed, its hold ends by itself at {iso(until)}."
        )


def require_most(seen: Examination) -> None:
    """Raise TooMuchMissing if over a tenth is alone, and something would be marked or deleted."""
    count, why = seen.count(), doubt(seen)
    if why and (count[Kind.MISSING] or count[Kind.ORPHAN]):
        raise TooMuchMissing(why)


def doubt(seen: Examination) -> str:
    """Return what to ask first if over a tenth of the rows, or of the values, is alone; or nothing.

    Rows that are marked count: a tenth at a time is all of them in the end.
    """
    count = seen.count()
    if seen.lacks_values:
        marked = f" (marked: {count[Kind.LOST]})" if count[Kind.LOST] else ""
        have = pluralize(seen.lacking, "has,have")
        nothing = "" if seen.values else " The store has nothing of this installation."
        return (
            f"{seen.lacking} of {seen.rows} rows {have} no value{marked}, which is more than a"
            f" tenth.{nothing} {FOREIGN_STORE} If these values are lost for good, manage.py fsck"
            " --repair --force marks the rows, and deletes nothing."
        )
    if exceeds_tenth(count[Kind.ORPHAN], seen.values):
        return (
            f"{count[Kind.ORPHAN]} of {seen.values} values"
            f" belong{pluralize(count[Kind.ORPHAN], 's,')} to no row, which is more than a tenth."
            f" {TOO_MANY_ORPHANS}"
        )
    return ""


def _delete_orphans(*, force: bool) -> int:
    if remote_store() is None:  # in one statement: whoever puts values there held deletions before
        return orphans().exclude(Exists(live_holds())).delete()[0]
    return sum(report.deleted for _, report in reconcile_all(force=force))
