"""The contracts of the tables: who may ask for what, and which secrets there are."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from audit_app.actors import Actor
from fugata_core.callers import Caller
from vault_app.values import SealedValue


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A live access token and its caller; `now` is the database's time, by which it is live."""

    digest: bytes
    last_used_at: datetime | None
    now: datetime
    caller: Caller


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is: the repository, by its row and by its name, and the key."""

    repository_id: int
    repository: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class LoadedSecret:
    """What reading needs; `sealed` is None unless the value lies in the same database."""

    wrapped_key: bytes
    value_name: str
    sealed: bytes | None


class AccessTable(ABC):
    """Answers whose token it is, and what its user may do where: the two questions of a request."""

    @abstractmethod
    def token(self, digest: bytes) -> KnownToken | None:
        """Return the live token of that digest."""

    @abstractmethod
    def membership(
        self, repository: str, user_id: int, only_of_token: int | None
    ) -> tuple[int, str] | None:
        """Return the repository's row id and the user's role in it.

        None, after the same work, when it is missing or the user is no member; also when
        `only_of_token` names a narrowed token that does not reach it.
        """


class SecretTable(ABC):
    """Writes an effect and its audit event together, or neither. Time is the database's."""

    @abstractmethod
    def load(self, repository_id: int, secret_key: str) -> LoadedSecret | None:
        """Return what is known of a secret, with its value where it lies in the database."""

    @abstractmethod
    def write(self, ref: SecretRef, value: SealedValue, actor: Actor) -> str | None:
        """Make the row of `ref` point to `value`, and record it.

        Returns the name of the value that is replaced (deleted, where it lies in the database), or
        None for a new secret. Raises IntegrityError when the repository is gone, or another
        writer made the row at the same time: nothing was written then.
        """

    @abstractmethod
    def remove(self, ref: SecretRef, actor: Actor) -> str | None:
        """Delete the row (and its value in the database), and record it.

        Returns the name of its value; None when there is no such secret.
        """
