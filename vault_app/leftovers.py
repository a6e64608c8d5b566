"""Values that outlived their rows, or never got one: noted, and deleted every hour.

They are noted where a deletion fails or is held, where many rows go at once, and where it is not
known whether a value was stored, or whether its row was written.

Because they are known, they do not count where reconciliation asks whether too much is orphaned.
"""

import logging
import math
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from fugata_core.connections import close_if_failed
from fugata_core.database_failures import ANY_ERROR, kinds_of
from vault_app.backends import remote_store
from vault_app.deletions import delete_each
from vault_app.models import Leftover, sealed_models
from vault_app.stores.base import ValueStore

#: Returns the subset of the names that a row points to.
FindUsedNames = Callable[[Collection[str]], set[str]]

#: Rows in one statement; values that one run deletes at most.
_BATCH, MAX_DELETED = 500, 10_000
#: How long a value may stay that the hourly reconciliation is to delete.
OVERDUE = timedelta(days=1)
#: After this time it is known whether a row was written, by a server that stood still too.
SETTLED = timedelta(days=1)

logger = logging.getLogger(__name__)


def note(app: str, names: Iterable[str], after: timedelta = timedelta(0)) -> None:
    """Note values whose rows are gone. If that fails, they are found by listing, days later.

    `after`: when they may be deleted, unless a row points to them by then.
    """
    rows = [Leftover(name=name, app=app, since=Now() + after) for name in names]
    try:
        with transaction.atomic():
            Leftover.objects.bulk_create(rows, batch_size=_BATCH, ignore_conflicts=True)
    except ANY_ERROR as error:
        logger.warning("values that outlive their rows were not noted: %s", kinds_of(error))
        close_if_failed()


def waiting() -> QuerySet[Leftover]:
    """Return the notes of values in stores that are in use: others are out of reach."""
    apps = (model.values_of for model in sealed_models())
    return Leftover.objects.filter(app__in=[app for app in apps if remote_store(app)])


def overdue() -> int:
    """Return how many values are noted for so long that something keeps them from being deleted."""
    return waiting().filter(since__lt=Now() - OVERDUE).count()


def noted(names: Collection[str]) -> set[str]:
    """Return those of `names` that are noted."""
    return set(Leftover.objects.filter(name__in=names).values_list("name", flat=True))


def forget(names: Iterable[str]) -> None:
    """Take values off the list: they are gone, or rows point to them again."""
    gone = list(names)
    for start in range(0, len(gone), _BATCH):
        Leftover.objects.filter(name__in=gone[start : start + _BATCH]).delete()


def delete_noted(
    app: str, store: ValueStore, in_use: FindUsedNames, seconds: float = math.inf
) -> tuple[int, int]:
    """Delete the noted values of `app`, whose `store` this is, for about `seconds`.

    Returns how many went, and failed. One that a row points to after all is taken off the list.
    """

    def may_go(names: Collection[str]) -> set[str]:
        forget(in_use(names))
        return noted(names)

    rows = Leftover.objects.filter(app=app, since__lte=Now()).order_by("since")
    names = list(rows.values_list("name", flat=True)[:MAX_DELETED])
    deleted, failed = delete_each(store, names, may_go, seconds)
    forget(deleted)
    return len(deleted), failed
