"""A hold on deletions: while a back-up runs, no value is deleted from a remote store.

Its row is deleted all the same. The value is then an orphan; reconciliation deletes it later.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models.functions import Now

from vault_app.models import DeletionHold

#: How long a hold lasts unless renewed: a back-up that died does not block deletions for good.
DURATION = timedelta(minutes=30)


class DeletionHoldLost(Exception):
    """The hold ran out before it was renewed: values may have been deleted meanwhile."""


def is_deletion_held() -> bool:
    """Return whether values must not be deleted right now."""
    return DeletionHold.objects.filter(until__gt=Now()).exists()


@contextmanager
def hold_deletions() -> Iterator[Callable[[], None]]:
    """Hold deletions while the block runs, and yield a function that renews the hold.

    Call it every few minutes and at the end; it raises DeletionHoldLost if the hold ran out.
    """
    hold = DeletionHold.objects.create(until=Now() + DURATION)
    this_hold = DeletionHold.objects.filter(pk=hold.pk)

    def renew() -> None:
        if not this_hold.filter(until__gt=Now()).update(until=Now() + DURATION):
            raise DeletionHoldLost("the back-up took too long between two steps: start it again")

    try:
        yield renew
    finally:
        this_hold.delete()
        DeletionHold.objects.filter(until__lte=Now()).delete()
