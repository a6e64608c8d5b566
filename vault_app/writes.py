"""Whether values can be stored: what became of this process's last attempts.

A store that is read without trouble may still refuse whatever is new: its namespace is missing or
being deleted, a policy refuses it, its disk is full.
"""

from vault_app.stores.base import ValueStore

#: How many attempts in a row fail before the store counts as one that can't be written to.
MAX_FAILED = 3


class Writes:
    """The attempts of one process, by app. Threads may miss each other's; the next one tells."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}

    def put(self, store: ValueStore, name: str, sealed: bytes) -> None:
        """Store a value, and note what came of it. Raises StoreUnavailable."""
        try:
            store.put(name, sealed)
        except Exception:  # of a backend of one's own, anything
            if store.app in self._failed:  # else it is not known yet that it ever can be
                self._failed[store.app] += 1
            raise
        self._failed[store.app] = 0

    def probe(self, store: ValueStore) -> None:
        """Store something to see, where no value was stored yet, or none in the last attempts.

        Raises StoreUnavailable.
        """
        if self._failed.get(store.app, MAX_FAILED) < MAX_FAILED:
            return
        try:
            store.check_writable()
        except Exception:  # of a backend of one's own, anything
            self._failed[store.app] = MAX_FAILED
            raise
        self._failed[store.app] = 0

    @property
    def are_failing(self) -> bool:
        """Whether values could not be stored lately."""
        return any(failed >= MAX_FAILED for failed in self._failed.values())


#: This process's.
writes = Writes()
