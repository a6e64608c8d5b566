"""The contract of a value store."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from vault_app.errors import StoreUnavailable, ValueConflict, ValueStays

#: More than what fits where others were deleted, on a disk that is full; nothing shortens it.
TRIAL = secrets.token_bytes(2**16)
#: Seconds that its deletion may take.
_TRIAL_DELETE_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A value as a listing shows it: its name and, where the store knows it, its age.

    The age is by the store's own clock only; a value whose age is unknown counts as new.
    """

    name: str
    age: timedelta | None = None


class ValueStore(ABC):
    """Keeps sealed bytes under opaque names. Values are immutable: created, read, deleted.

    `app`: which app's values these are ("shares", "repositories"); each app lists and reconciles
    its own. `transactional`: values live in the application's database, so a row and its value
    are written and deleted by one statement; only restore and fsck call `put` and `delete`.
    """

    transactional = False
    #: The name of the last trial value, if it could not be deleted. It serves again.
    trial: str | None = None

    def __init__(self, app: str = "shares") -> None:
        self.app = app

    def new_name(self, size: int) -> str:
        """Return a new opaque name (up to 64 characters) for a sealed value of `size` bytes."""
        return secrets.token_hex(16)

    def takes(self, name: str, size: int) -> bool:
        """Return whether a sealed value of `size` bytes can have a name that is not from here."""
        return True

    @abstractmethod
    def put(self, name: str, sealed: bytes) -> None:
        """Store `sealed` under `name`, which comes from `new_name`.

        A reader sees the whole value or none. The same again is no error. Raises StoreUnavailable;
        ValueConflict, a kind of it, if another value has the name.
        """

    @abstractmethod
    def get(self, name: str) -> bytes:
        """Return the value. Raises ValueMissing or StoreUnavailable."""

    @abstractmethod
    def delete(self, name: str, within: float | None = None) -> None:
        """Delete the value; a missing one is not an error.

        Raises StoreUnavailable; ValueStays, a kind of it, if it will go by itself later.
        `within`: timeout in seconds, where the store's own is too long.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise StoreUnavailable unless the store can be used right now."""

    def check_writable(self) -> None:
        """Raise StoreUnavailable unless a value can be stored right now: store one, delete it."""
        name = self.trial or self.new_name(len(TRIAL))
        try:
            self.put(name, TRIAL)
        except ValueConflict:  # it was changed when it was stored: of no use
            self.trial = None
            raise
        except Exception:  # it may be there all the same
            self._delete_trial(name)
            raise
        self._delete_trial(name)

    def _delete_trial(self, name: str) -> None:
        try:
            self.delete(name, within=_TRIAL_DELETE_TIMEOUT)
            self.trial = None
        except ValueStays:  # it can't be stored again meanwhile
            self.trial = None
        except StoreUnavailable:
            self.trial = name

    @abstractmethod
    def list(self) -> Iterator[StoredObject]:
        """Yield what the store holds for this app, reading no value. Raises StoreUnavailable."""
