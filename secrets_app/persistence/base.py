"""The contract of the table of shares: each effect is atomic with its audit event."""

from abc import ABC, abstractmethod

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from secrets_app.models import Share


class ShareTable(ABC):
    """Writes an effect and its audit event in one transaction, by the database's clock."""

    @abstractmethod
    def insert(self, share: Share, sealed: bytes | None, actor: Actor) -> None:
        """Write a row and its value, unless `sealed` is None because it is stored elsewhere."""

    @abstractmethod
    def load(self, digest: bytes) -> tuple[Share, bytes | None] | None:
        """Return the live share with that digest, and its value if that is in the database."""

    @abstractmethod
    def remove(self, digest: bytes, kind: AuditEvent.Kind, actor: Actor) -> bool:
        """Delete the live share (and its value in the database); return whether this call did.

        This is the claim of a one-time share: of any number of callers exactly one gets True.
        Raises RowLocked, with nothing deleted.
        """

    @abstractmethod
    def record_opening(self, digest: bytes, actor: Actor) -> bool:
        """Record an opening of a reusable share. Return False if it is no longer live."""

    @abstractmethod
    def purge(self, limit: int) -> list[str]:
        """Delete up to `limit` expired shares (and values in the database).

        Returns the names of their values. Rows locked by others are skipped.
        """
