"""Whether a key service is well: what calls said of late, and a trial where that says nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from vault_app.errors import KeyUnavailable

#: Seconds for which a call that worked says that the service is well.
TRUSTED = 30.0
OPERATIONS = ("wrap", "unwrap")


class ServiceHealth:
    """When each operation last worked, and whether one failed since. For any thread."""

    def __init__(self) -> None:
        self._worked_at = dict.fromkeys(OPERATIONS, float("-inf"))
        self._failed = False

    @contextmanager
    def observed(self, operation: str) -> Iterator[None]:
        """Take note of whether the block, which does that operation, works."""
        try:
            yield
        except KeyUnavailable:
            self._failed = True
            raise
        self._worked_at[operation] = time.monotonic()

    @property
    def is_in_doubt(self) -> bool:
        """Whether a call failed, or one of the operations has not been tried for a while."""
        return self._failed or time.monotonic() - min(self._worked_at.values()) > TRUSTED

    def is_well(self) -> None:
        """Take note that a trial of both worked."""
        self._worked_at = dict.fromkeys(OPERATIONS, time.monotonic())
        self._failed = False
