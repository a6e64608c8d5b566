"""The contract of the table of shares: every effect and its audit event, together or not at all."""

from abc import ABC, abstractmethod

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from secrets_app.models import Share


class ShareTable(ABC):
    """Writes an effect and its audit event in one transaction. Time is the database's."""

    @abstractmethod
    def insert(self, share: Share, sealed: bytes | None, actor: Actor) -> None:
        """Write a row, and its value unless that is None because it is kept elsewhere."""

    @abstractmethod
    def load(self, digest: bytes) -> tuple[Share, bytes | None] | None:
        """Return the live share of that digest, and its value where that is in the database."""

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
