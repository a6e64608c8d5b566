"""The contracts of the tables: one for access control, one for secrets."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit_app.actors import Actor
from fugata_core.callers import Caller
from vault_app.values import SealedValue


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A live access token and its caller; `now` is the database time at which it is live."""

    digest: bytes
    last_used_at: datetime | None
    now: datetime
    caller: Caller


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A reference to a secret: its repository, by row id and by name, and its key."""

    repository_id: int
    repository: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class LoadedSecret:
    """What reading needs; `sealed` is None unless the value is in the same database."""

    wrapped_key: bytes
    value_name: str
    sealed: bytes | None


class AccessTable(ABC):
    """Looks up a token's user, and that user's role in a repository: two lookups per request."""

    @abstractmethod
    def find_token(self, digest: bytes) -> LiveToken | None:
        """Return the live token with that digest, or None."""

    @abstractmethod
    def find_membership(
        self, repository: str, user_id: int, narrowed_token_id: int | None
    ) -> tuple[int, str] | None:
        """Return the repository's row id and the user's role in it.

        None, after the same work, if it is missing or the user is not a member; also if
        `narrowed_token_id` names a narrowed token that does not include it.
        """

    @abstractmethod
    def record_use(self, token_id: int, resolution: timedelta) -> None:
        """Update when the token was last used, if that is more than `resolution` ago.

        Does not wait for another session that has locked the row.
        """


class SecretTable(ABC):
    """Writes an effect and its audit event in one transaction, by the database's clock."""

    @abstractmethod
    def load(self, repository_id: int, secret_key: str) -> LoadedSecret | None:
        """Return a secret, with its value if that is in the database; None if there is none."""

    @abstractmethod
    def require_unlocked(self, ref: SecretRef) -> None:
        """Raise RowLocked if `write` would, going by what happened to those before."""

    @abstractmethod
    def write(self, ref: SecretRef, value: SealedValue, actor: Actor) -> str | None:
        """Make the row of `ref` point to `value`, and record it.

        Returns the name of the replaced value (deleted, if it is in the database), or None for a
        new secret. Raises IntegrityError, with nothing written, if the repository or the key that
        wrapped it is gone; RowLocked, with nothing written.
        """

    @abstractmethod
    def remove(self, ref: SecretRef, actor: Actor) -> str | None:
        """Delete the row (and its value in the database), and record it.

        Returns the name of its value, or None if there is no such secret. Raises RowLocked, with
        nothing deleted.
        """
