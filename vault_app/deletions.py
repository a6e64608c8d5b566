"""Deletes values that no row points to, in short batches.

Before each batch it is asked whether deletions are held, and which of its values may go. Whoever
holds them waits until a batch that began before is over (deletion_hold.py).
"""

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Collection

from vault_app.deletion_hold import BATCH_SECONDS, DELETE_SECONDS, is_deletion_held
from vault_app.errors import StoreUnavailable, ValueStays
from vault_app.stores.base import ValueStore

#: Values of a batch; and how many may fail before a run ends.
BATCH, MAX_FAILED = 50, 5

logger = logging.getLogger(__name__)


def delete_each(
    store: ValueStore,
    names: Collection[str],
    may_go: Callable[[Collection[str]], set[str]],
    seconds: float = math.inf,
) -> tuple[list[str], int]:
    """Delete values for about `seconds`; return those that are deleted, and how many failed.

    `may_go` is asked before each batch, and returns those of it that may be deleted. The order is
    another each time: what a store never deletes must not keep the others for good.
    """
    run, waiting = _Run(store), deque(random.sample(sorted(names), len(names)))
    end = time.monotonic() + seconds
    while waiting and run.failed < MAX_FAILED and time.monotonic() < end:
        over = min(time.monotonic() + BATCH_SECONDS, end)  # set before the hold is asked for
        if is_deletion_held():
            break
        batch = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        waiting.extend(run.delete(batch, may_go(batch), over))
    if run.failed:
        reason = run.reason
        logger.warning("%d of %d values were not deleted: %s", run.failed, len(names), reason)
    if run.staying:
        logger.warning("%d of %d values stay for now: %s", run.staying, len(names), run.why_staying)
    return run.deleted, run.failed


class _Run:
    def __init__(self, store: ValueStore) -> None:
        self._store = store
        self.deleted: list[str] = []
        self.failed, self.reason = 0, ""
        self.staying, self.why_staying = 0, ""

    def delete(self, batch: list[str], allowed: set[str], over: float) -> list[str]:
        """Delete those of a batch that are allowed; return what there was no time for."""
        for number, name in enumerate(batch):
            if time.monotonic() >= over or self.failed == MAX_FAILED:
                return batch[number:]
            if name in allowed:
                self._delete(name)
        return []

    def _delete(self, name: str) -> None:
        try:
            self._store.delete(name, within=DELETE_SECONDS)
            self.deleted.append(name)
        except ValueStays as error:
            self.staying, self.why_staying = self.staying + 1, str(error)
        except StoreUnavailable as error:
            self.failed, self.reason = self.failed + 1, str(error)
