"""The contract of a value store."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A value as a listing shows it: its name and, where the store knows it, its age."""

    name: str
    created_at: datetime | None = None


class ValueStore(ABC):
    """Keeps sealed bytes under opaque names. Values are immutable: made, read, deleted.

    `app`: whose values these are ("shares", "repositories"). `transactional`: values live in the
    application's database, so that a row and its value are written and deleted in one transaction.
    """

    transactional = False

    def __init__(self, app: str = "shares") -> None:
        self.app = app

    @abstractmethod
    def put(self, name: str, sealed: bytes) -> None:
        """Keep `sealed` under `name`, which is new. Raises StoreUnavailable."""

    @abstractmethod
    def get(self, name: str) -> bytes:
        """Return the value. Raises ValueMissing or StoreUnavailable."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete the value; deleting what is not there is fine. Raises StoreUnavailable."""

    @abstractmethod
    def check(self) -> None:
        """Raise StoreUnavailable unless the store can be used just now."""

    @abstractmethod
    def list(self) -> Iterator[StoredObject]:
        """Yield what is kept, reading no value. Raises StoreUnavailable."""
