"""A hold on deletions: while a back-up is taken, no value goes from a remote store.

The row goes all the same. What is left over is an orphan, and reconciliation deletes it later.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models.functions import Now

from vault_app.models import DeletionHold

#: How long a hold lasts unless it is renewed: a back-up that died holds nothing up for good.
LENGTH = timedelta(minutes=30)


class DeletionHoldLost(Exception):
    """The hold ran out before it was renewed: values may have gone meanwhile."""


def is_deletion_held() -> bool:
    """Return whether values must stay where they are just now."""
    return DeletionHold.objects.filter(until__gt=Now()).exists()


@contextmanager
def deletions_held() -> Iterator[Callable[[], None]]:
    """Hold deletions while the block runs; it is given a function that renews the hold.

    Renew it every few minutes and at the end: that raises DeletionHoldLost where it came too late.
    """
    hold = DeletionHold.objects.create(until=Now() + LENGTH)
    mine = DeletionHold.objects.filter(pk=hold.pk)

    def renew() -> None:
        if not mine.filter(until__gt=Now()).update(until=Now() + LENGTH):
            raise DeletionHoldLost("the back-up took too long between two steps: start it again")

    try:
        yield renew
    finally:
        mine.delete()
        DeletionHold.objects.filter(until__lte=Now()).delete()
