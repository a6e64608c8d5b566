"""A hold on deletions: while a back-up or a restore runs, a remote store's values stay.

A row is deleted all the same. Its value is then noted, and reconciliation deletes it later.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from vault_app.models import DeletionHold

#: How long a hold lasts unless renewed: a back-up that died does not block deletions for good.
DURATION = timedelta(minutes=30)
#: Seconds for which whoever deletes goes on without asking for a hold again, and that the last of
#: these deletions may take.
BATCH_SECONDS, DELETE_SECONDS = 5.0, 5.0
#: Seconds after which every deletion that began before a hold is over, with some to spare.
SETTLE = BATCH_SECONDS + 2 * DELETE_SECONDS

#: What is to be said to who deletes meanwhile.
HELD = (
    "No value is deleted now, because a back-up or a restore is running. (If one was killed, this"
    " ends by itself, half an hour later at most.)"
)


class DeletionHoldLost(Exception):
    """The hold ran out before it was renewed: values may have been deleted meanwhile."""


def live_holds() -> QuerySet[DeletionHold]:
    """Return the holds that have not run out."""
    return DeletionHold.objects.filter(until__gt=Now())


def is_deletion_held() -> bool:
    """Return whether values must not be deleted right now."""
    return live_holds().exists()


@contextmanager
def hold_deletions(*, settle: bool = False) -> Iterator[Callable[[], None]]:
    """Hold deletions while the block runs, and yield a function that renews the hold.

    Call it every few minutes and at the end; it raises DeletionHoldLost if the hold ran out.
    `settle`: wait first until what began to be deleted before is over.
    """
    hold = DeletionHold.objects.create(until=Now() + DURATION)
    this_hold = DeletionHold.objects.filter(pk=hold.pk)

    def renew() -> None:
        if not this_hold.filter(until__gt=Now()).update(until=Now() + DURATION):
            raise DeletionHoldLost("it took too long between two steps: start it again")

    try:
        if settle:
            time.sleep(SETTLE)
        yield renew
    finally:
        this_hold.delete()
        DeletionHold.objects.filter(until__lte=Now()).delete()
