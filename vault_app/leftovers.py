"""Values that outlived their rows: noted when a deletion fails or is held, deleted every hour.

Because they are known, they do not count where reconciliation asks whether too much is orphaned.
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable

from django.db import DatabaseError, transaction

from vault_app.errors import StoreUnavailable
from vault_app.models import Leftover
from vault_app.stores.base import ValueStore

#: Returns the subset of the names that a row points to.
FindUsedNames = Callable[[Collection[str]], set[str]]

#: Rows in one statement; values that one run deletes at most, and that may fail before it ends.
_BATCH, MAX_DELETED, MAX_FAILED = 500, 10_000, 5

logger = logging.getLogger(__name__)


def note(app: str, names: Iterable[str]) -> None:
    """Note values whose rows are gone. If that fails, they are found by listing, days later."""
    rows = [Leftover(name=name, app=app) for name in names]
    try:
        with transaction.atomic():
            Leftover.objects.bulk_create(rows, batch_size=_BATCH, ignore_conflicts=True)
    except DatabaseError as error:
        logger.warning("values that outlive their rows were not noted: %s", type(error).__name__)


def noted(names: Collection[str]) -> set[str]:
    """Return those of `names` that are noted."""
    return set(Leftover.objects.filter(name__in=names).values_list("name", flat=True))


def delete_noted(app: str, store: ValueStore, in_use: FindUsedNames) -> tuple[int, int]:
    """Delete the noted values of `app`, whose `store` this is; return how many went, and failed.

    One that a row points to after all is only taken off the list.
    """
    rows = Leftover.objects.filter(app=app).order_by("since")
    names = set(rows.values_list("name", flat=True)[:MAX_DELETED])
    used = in_use(names) if names else set()
    deleted, failed = delete_each(store, names - used)
    Leftover.objects.filter(name__in=used.union(deleted)).delete()
    return len(deleted), failed


def delete_each(store: ValueStore, names: Collection[str]) -> tuple[list[str], int]:
    """Delete values, up to a few that fail; return those that are deleted, and how many failed.

    The order is another each time: what a store never deletes must not keep the others for good.
    """
    deleted: list[str] = []
    failed = 0
    for name in random.sample(sorted(names), len(names)):
        try:
            store.delete(name)
            deleted.append(name)
        except StoreUnavailable as error:
            failed, reason = failed + 1, error
            if failed == MAX_FAILED:
                break
    if failed:
        logger.warning("%d of %d values were not deleted: %s", failed, len(names), reason)
    return deleted, failed
