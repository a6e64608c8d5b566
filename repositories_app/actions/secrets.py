"""Set, read, list and remove a repository's secrets.

The value first, then the row that points to it; an object that nothing points to any more is
deleted after the commit (design: "The order of effects").
"""

import logging

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from repositories_app.access import Opened
from repositories_app.errors import RepositoryNotFound, SecretNotFound
from repositories_app.metrics import SECRETS
from repositories_app.models import Repository, RepositorySecret
from repositories_app.names import KEY_RULE, is_secret_key
from repositories_app.sealing import secret_terms
from secrets_app.actions.values import KeptValue, checked_content, delete_quietly, keep_value
from secrets_app.audit import Actor, record, record_failure
from secrets_app.errors import BadRequest, InternalError
from secrets_app.metrics import counted
from secrets_app.models import AuditEvent
from secrets_app.vault import envelope
from secrets_app.vault.backends import value_store
from secrets_app.vault.errors import ValueMissing, VaultError

APP = "repositories"
#: How often a reader follows a pointer that was moved under it, and a writer a row just made.
ATTEMPTS = 4

logger = logging.getLogger(__name__)


@counted(SECRETS, "set")
def set_secret(repository: Opened, secret_key: str, value: str, actor: Actor) -> None:
    """Create or replace a secret; readers see the whole old or the whole new value.

    Raises BadRequest, SecretTooLarge, RepositoryNotFound (deleted just now), InternalError.
    """
    if not is_secret_key(secret_key):
        raise BadRequest(f"Invalid secret_key: must be {KEY_RULE}")
    content = checked_content(value, "secret_value")
    try:
        kept = keep_value(APP, content, lambda n: secret_terms(repository.name, secret_key, n))
        replaced = _point_to(repository, secret_key, kept, actor)
    except VaultError as error:
        raise _failed("a secret could not be sealed or kept", error) from error
    if replaced:
        delete_quietly(replaced, APP)


def _point_to(repository: Opened, secret_key: str, value: KeptValue, actor: Actor) -> str | None:
    """Make the row point to `value`; returns the name of the value that it replaces."""
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return _written(repository, secret_key, value, actor)
        except IntegrityError:  # another writer made the row, or the repository is gone
            if not Repository.objects.filter(pk=repository.id).exists():
                raise RepositoryNotFound() from None
    raise InternalError()


def _written(repository: Opened, secret_key: str, value: KeptValue, actor: Actor) -> str | None:
    columns = {
        "wrapped_key": value.wrapped_key,
        "key_id": value.key_id,
        "value_name": value.name,
        "size": value.size,
    }
    if value.sealed is not None:
        value_store(APP).put(value.name, value.sealed)
    rows = RepositorySecret.objects.filter(repository=repository.id, secret_key=secret_key)
    old = rows.select_for_update().values_list("value_name", flat=True).first()
    if old is None:
        RepositorySecret.objects.create(
            repository_id=repository.id, secret_key=secret_key, **columns
        )
    else:
        rows.update(updated_at=Now(), **columns)
        _delete_here(old)
    record(AuditEvent.Kind.SET, actor, repository=repository.name, secret_key=secret_key)
    return old


def _delete_here(name: str) -> None:
    """Delete a value that lies in the same database, in the same transaction."""
    if value_store(APP).transactional:
        value_store(APP).delete(name)


def secret_keys(repository: Opened) -> list[str]:
    """Return the keys of a repository, sorted by code point."""
    rows = RepositorySecret.objects.filter(repository=repository.id)
    return sorted(rows.values_list("secret_key", flat=True))


@counted(SECRETS, "read")
def read_secret(repository: Opened, secret_key: str, actor: Actor) -> bytes:
    """Return a secret's value (UTF-8). Raises SecretNotFound, InternalError.

    A backend that fails is never a 404: tools take that to mean "deleted" (design.md).
    """
    try:
        content = _followed(repository, secret_key)
    except VaultError as error:
        subject = {"repository": repository.name, "secret_key": secret_key}
        record_failure(AuditEvent.Kind.READ_FAILED, actor, **subject)
        raise _failed("a secret could not be read", error) from error
    record(AuditEvent.Kind.READ, actor, repository=repository.name, secret_key=secret_key)
    return content


def _followed(repository: Opened, secret_key: str) -> bytes:
    """Return the value that the row points to, also while writers move the pointer."""
    missed: str | None = None
    for _ in range(ATTEMPTS):
        secret = find_secret(repository, secret_key)
        if secret.value_name == missed:
            break
        try:
            return _opened(repository, secret)
        except ValueMissing:
            missed = secret.value_name
    raise ValueMissing("the store has no value where the row points")


def find_secret(repository: Opened, secret_key: str) -> RepositorySecret:
    """Return what is known of a secret, its value unread. Raises SecretNotFound."""
    if not is_secret_key(secret_key):
        raise SecretNotFound()
    rows = RepositorySecret.objects.filter(repository=repository.id, secret_key=secret_key)
    secret = next(iter(rows.only("secret_key", "wrapped_key", "value_name")[:1]), None)
    if secret is None:
        raise SecretNotFound()
    return secret


def _opened(repository: Opened, secret: RepositorySecret) -> bytes:
    sealed = value_store(APP).get(secret.value_name)
    terms = secret_terms(repository.name, secret.secret_key, secret.value_name)
    return envelope.unseal(sealed, bytes(secret.wrapped_key), terms)


@counted(SECRETS, "removed")
def remove_secret(repository: Opened, secret_key: str, actor: Actor) -> None:
    """Delete a secret, its row first. Raises SecretNotFound."""
    if not is_secret_key(secret_key):
        raise SecretNotFound()
    with transaction.atomic():
        rows = RepositorySecret.objects.filter(repository=repository.id, secret_key=secret_key)
        name = rows.select_for_update().values_list("value_name", flat=True).first()
        if name is None or not rows.delete()[0]:
            raise SecretNotFound()
        _delete_here(name)
        record(AuditEvent.Kind.REMOVED, actor, repository=repository.name, secret_key=secret_key)
    delete_quietly(name, APP)


def _failed(what: str, error: VaultError) -> InternalError:
    logger.error("%s: %s", what, error)
    return InternalError()
