"""The tables through the ORM, for SQLite and others: multi-statement transactions."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core.callers import Caller
from repositories_app.models import AccessToken, Membership, RepositorySecret
from repositories_app.persistence.base import (
    AccessTable,
    LiveToken,
    LoadedSecret,
    SecretRef,
    SecretTable,
)
from vault_app.models import StoredValue
from vault_app.values import SealedValue

_COLUMNS = ("pk", "user_id", "user__username", "prefix", "read_only", "narrowed")


class PortableAccessTable(AccessTable):
    """Two queries, each with a join."""

    def find_token(self, digest: bytes) -> LiveToken | None:
        found = AccessToken.objects.live().filter(digest=digest)
        row = found.values_list("digest", "last_used_at", Now(), *_COLUMNS).first()
        if row is None:
            return None
        stored, last_used_at, now, *caller = row
        return LiveToken(bytes(stored), last_used_at, now, Caller(*caller))

    def find_membership(
        self, repository: str, user_id: int, narrowed_token_id: int | None
    ) -> tuple[int, str] | None:
        found = Membership.objects.filter(user=user_id, repository__name=repository)
        if narrowed_token_id is not None:
            found = found.filter(repository__access_tokens=narrowed_token_id)
        return found.values_list("repository_id", "role").first()

    def record_use(self, token_id: int, resolution: timedelta) -> None:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=Now() - resolution)
        AccessToken.objects.filter(stale, pk=token_id).update(last_used_at=Now())


class PortableSecretTable(SecretTable):
    """On SQLite every transaction is IMMEDIATE, so there is only one writer at a time."""

    def load(self, repository_id: int, secret_key: str) -> LoadedSecret | None:
        rows = RepositorySecret.objects.filter(repository=repository_id, secret_key=secret_key)
        row = rows.values_list("wrapped_key", "value_name").first()
        if row is None:
            return None
        sealed = StoredValue.objects.values_list("sealed", flat=True).filter(name=row[1]).first()
        return LoadedSecret(bytes(row[0]), row[1], None if sealed is None else bytes(sealed))

    def require_unlocked(self, ref: SecretRef) -> None:
        """Do nothing: no row is locked by itself."""

    def write(self, ref: SecretRef, value: SealedValue, actor: Actor) -> str | None:
        with transaction.atomic():
            if value.sealed is not None:
                StoredValue.objects.create(name=value.name, sealed=value.sealed)
            old = _locked(ref) or _insert(ref, value)
            if old is not None:
                _rows(ref).update(updated_at=Now(), **value.columns())
                StoredValue.objects.filter(name=old).delete()
            _record(AuditEvent.Kind.SET, ref, actor)
        return old

    def remove(self, ref: SecretRef, actor: Actor) -> str | None:
        with transaction.atomic():
            name = _locked(ref)
            if name is None or not _rows(ref).delete()[0]:
                return None
            StoredValue.objects.filter(name=name).delete()
            _record(AuditEvent.Kind.REMOVED, ref, actor)
            return name


def _rows(ref: SecretRef) -> QuerySet[RepositorySecret]:
    return RepositorySecret.objects.filter(repository=ref.repository_id, secret_key=ref.secret_key)


def _locked(ref: SecretRef) -> str | None:
    """Lock the row and return the name of the value that it points to, or None."""
    return _rows(ref).select_for_update().values_list("value_name", flat=True).first()


def _insert(ref: SecretRef, value: SealedValue) -> str | None:
    """Create the row; where another writer has just done so, lock it and return its value's name.

    On a conflict the update changes nothing, but waits for that writer.
    """
    row = RepositorySecret(
        repository_id=ref.repository_id, secret_key=ref.secret_key, **value.columns()
    )
    RepositorySecret.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["repository", "secret_key"],
        update_fields=["secret_key"],
    )
    name = _locked(ref)
    return None if name == value.name else name


def _record(kind: AuditEvent.Kind, ref: SecretRef, actor: Actor) -> None:
    record(kind, actor, repository=ref.repository, secret_key=ref.secret_key)
