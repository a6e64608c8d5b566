"""Whether values can be stored: what became of this process's last attempts.

A store that is read without trouble may still refuse whatever is new: its namespace is missing or
being deleted, a policy refuses it, its disk is full.
"""

import time
from dataclasses import dataclass

from vault_app import leftovers
from vault_app.errors import StoreUnavailable, VaultError
from vault_app.stores.base import ValueStore

#: How many attempts in a row fail before the store counts as one that can't be written to.
MAX_FAILED = 3
#: Seconds between the first two trials that fail, and at most: each pause is twice the one before.
FIRST_PAUSE, LAST_PAUSE = 2.0, 60.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """One that failed: why, and when to try again."""

    reason: str
    pause: float
    due: float


class Writes:
    """The attempts of one process, by app. Threads may miss each other's; the next one tells."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}
        self._trials: dict[str, _Trial] = {}

    def put(self, store: ValueStore, name: str, sealed: bytes) -> None:
        """Store a value, and note what came of it. Raises StoreUnavailable."""
        try:
            store.put(name, sealed)
        except Exception:  # of a backend of one's own, anything
            if store.app in self._failed:  # else it is not known yet that it ever can be
                self._failed[store.app] += 1
            raise
        self._note_success(store.app)

    def probe(self, store: ValueStore) -> None:
        """Store something to see, where no value was stored yet, or none in the last attempts.

        Less and less often while that fails: in between it fails as before. Raises
        StoreUnavailable.
        """
        if self._failed.get(store.app, MAX_FAILED) < MAX_FAILED:
            return
        last = self._trials.get(store.app)
        if last and time.monotonic() < last.due:
            raise StoreUnavailable(last.reason)
        try:
            store.check_writable()
        except Exception as error:  # of a backend of one's own, anything
            self._failed[store.app] = MAX_FAILED
            self._trials[store.app] = _failed_trial(error, last)
            raise
        finally:
            if store.trial:
                leftovers.note(store.app, [store.trial])
        self._note_success(store.app)

    def _note_success(self, app: str) -> None:
        self._failed[app] = 0
        self._trials.pop(app, None)

    @property
    def are_failing(self) -> bool:
        """Whether values could not be stored lately."""
        return any(failed >= MAX_FAILED for failed in self._failed.values())


def _failed_trial(error: Exception, last: _Trial | None) -> _Trial:
    pause = min(2 * last.pause, LAST_PAUSE) if last else FIRST_PAUSE
    reason = str(error) if isinstance(error, VaultError) else type(error).__name__
    return _Trial(reason, pause, time.monotonic() + pause)


#: This process's.
writes = Writes()
