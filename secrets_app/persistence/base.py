"""The contract of the register of shares."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from audit_app.actors import Actor
from audit_app.models import AuditEvent


@dataclass(frozen=True, slots=True)
class NewShare:
    """A share about to be registered; fields as in models.Share."""

    digest: bytes
    deletion_digest: bytes
    wrapped_key: bytes
    key_id: str
    value_name: str
    size: int
    label: str | None
    one_time: bool
    expires_at: datetime
    client: bytes | None = None


@dataclass(frozen=True, slots=True)
class LoadedShare:
    """What opening needs; `sealed` is None unless the value lies in the same database."""

    wrapped_key: bytes
    value_name: str
    label: str | None
    one_time: bool
    expires_at: datetime
    sealed: bytes | None


class Registry(ABC):
    """Writes an effect and its audit event together, or neither. Time is the database's."""

    @abstractmethod
    def insert(self, share: NewShare, sealed: bytes | None, actor: Actor) -> None:
        """Register a share, with its value unless that is None because it is kept elsewhere."""

    @abstractmethod
    def load(self, digest: bytes) -> LoadedShare | None:
        """Return the live share of that digest, with its value where it lies in the database."""

    @abstractmethod
    def remove(self, digest: bytes, kind: AuditEvent.Kind, actor: Actor) -> bool:
        """Delete the live share (and its value in the database). True for the one who did it.

        This is the claim of "open once": of any number of callers exactly one gets True.
        """

    @abstractmethod
    def note_opening(self, digest: bytes, actor: Actor) -> bool:
        """Record an opening of a share that stays. False when it is no longer live."""

    @abstractmethod
    def purge(self, limit: int) -> list[str]:
        """Delete up to `limit` expired shares (and values in the database).

        Returns the names of their values. Rows that somebody else holds are passed over.
        """
