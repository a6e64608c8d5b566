"""Set, read, list and remove a repository's secrets.

The value is written first, then the row that points to it; a value that no row points to any
more is deleted after the commit (docs/design.md: "The order of effects").
"""

from django.db import IntegrityError

from audit_app.actors import Actor
from audit_app.lookups import count_lookup, misses_counted
from audit_app.models import AuditEvent
from audit_app.trail import record, record_failure
from fugata_core.content import validate_content
from fugata_core.errors import BadRequest, internal_error
from fugata_core.metrics import count_outcomes
from fugata_core.tokens import has_secret
from repositories_app.authorization import AuthorizedRepository
from repositories_app.errors import RepositoryNotFound, SecretNotFound
from repositories_app.metrics import SECRETS
from repositories_app.models import Repository, RepositorySecret
from repositories_app.names import KEY_RULE, is_secret_key
from repositories_app.persistence import LoadedSecret, SecretRef, secret_table
from repositories_app.sealing import secret_associated_data
from vault_app import envelope
from vault_app.errors import ValueMissing, VaultError
from vault_app.values import SealedValue, delete_quietly, fetch, seal_and_store, unless_written

#: How many times a reader follows a pointer that concurrent writers move.
MAX_ATTEMPTS = 4


@count_outcomes(SECRETS, "set")
def set_secret(repository: AuthorizedRepository, secret_key: str, value: str, actor: Actor) -> None:
    """Create or replace a secret; readers see the whole old or the whole new value.

    Raises BadRequest, SecretTooLarge, RepositoryNotFound (deleted meanwhile), RowLocked,
    InternalError, Overloaded.
    """
    if not is_secret_key(secret_key):
        raise BadRequest(f"Invalid secret_key: must be {KEY_RULE}")
    if has_secret(secret_key):
        raise BadRequest(
            "Invalid secret_key: it has the form of an id or a token of Fugata. Are secret_key and"
            " secret_value swapped?"
        )
    content = validate_content(value, "secret_value")
    ref = _ref(repository, secret_key)
    secret_table().require_unlocked(ref)
    try:
        kept = seal_and_store(
            RepositorySecret.values_of,
            content,
            lambda n: secret_associated_data(repository.name, secret_key, n),
        )
    except VaultError as error:
        raise internal_error("a secret could not be sealed or kept", error) from error
    replaced = _point_to(ref, kept, actor)
    if replaced:
        delete_quietly(RepositorySecret.values_of, replaced)


def _point_to(ref: SecretRef, value: SealedValue, actor: Actor) -> str | None:
    """Make the row point to `value` and return the name of the value that it replaces.

    Where that can't be done, `value` is deleted.
    """
    try:
        with unless_written(RepositorySecret.values_of, value.name):
            return secret_table().write(ref, value, actor)
    except IntegrityError as error:
        if not Repository.objects.filter(pk=ref.repository_id).exists():
            raise RepositoryNotFound() from None
        raise internal_error("a secret's row could not be written", type(error).__name__) from error


def _ref(repository: AuthorizedRepository, secret_key: str) -> SecretRef:
    return SecretRef(repository.id, repository.name, secret_key)


def secret_keys(repository: AuthorizedRepository) -> list[str]:
    """Return the keys of a repository, sorted by code point."""
    rows = RepositorySecret.objects.filter(repository=repository.id)
    return sorted(rows.values_list("secret_key", flat=True))


def list_secret_keys(repository: AuthorizedRepository, actor: Actor) -> list[str]:
    """Return the keys of a repository, and count that for the trail. Raises RowLocked."""
    count_lookup(actor, repository.name)
    return secret_keys(repository)


@count_outcomes(SECRETS, "read")
def read_secret(repository: AuthorizedRepository, secret_key: str, actor: Actor) -> bytes:
    """Return a secret's value (UTF-8). Raises SecretNotFound, RowLocked, InternalError, Overloaded.

    A failing backend is never a 404: tools take that to mean "deleted" (docs/api.md).
    """
    try:
        with misses_counted(actor, repository.name):
            content = _read_current(repository, secret_key)
    except VaultError as error:
        subject = {"repository": repository.name, "secret_key": secret_key}
        record_failure(AuditEvent.Kind.READ_FAILED, actor, **subject)
        raise internal_error("a secret could not be read", error) from error
    record(AuditEvent.Kind.READ, actor, repository=repository.name, secret_key=secret_key)
    return content


def _read_current(repository: AuthorizedRepository, secret_key: str) -> bytes:
    """Return the value that the row points to, even while writers move the pointer."""
    missed: str | None = None
    for _ in range(MAX_ATTEMPTS):
        secret = _load(repository, secret_key)
        if secret.value_name == missed:
            break
        try:
            return _unseal(repository, secret_key, secret)
        except ValueMissing:
            missed = secret.value_name
    raise ValueMissing("the store has no value where the row points")


def require_secret(repository: AuthorizedRepository, secret_key: str, actor: Actor) -> None:
    """Raise SecretNotFound unless the repository has that key; reads no value. Raises RowLocked."""
    count_lookup(actor, repository.name)
    rows = RepositorySecret.objects.filter(repository=repository.id, secret_key=secret_key)
    if not is_secret_key(secret_key) or not rows.exists():
        raise SecretNotFound()


def _load(repository: AuthorizedRepository, secret_key: str) -> LoadedSecret:
    secret = secret_table().load(repository.id, secret_key) if is_secret_key(secret_key) else None
    if secret is None:
        raise SecretNotFound()
    return secret


def _unseal(repository: AuthorizedRepository, secret_key: str, secret: LoadedSecret) -> bytes:
    associated_data = secret_associated_data(repository.name, secret_key, secret.value_name)
    return envelope.unseal(
        fetch(RepositorySecret.values_of, secret.value_name, secret.sealed),
        secret.wrapped_key,
        associated_data,
    )


def remove_secret(repository: AuthorizedRepository, secret_key: str, actor: Actor) -> None:
    """Delete a secret, its row first. Raises SecretNotFound, RowLocked."""
    with misses_counted(actor, repository.name):
        name = remove_row(repository, secret_key, actor)
    delete_quietly(RepositorySecret.values_of, name)


@count_outcomes(SECRETS, "removed")
def remove_row(repository: AuthorizedRepository, secret_key: str, actor: Actor) -> str:
    """Delete a secret's row, and return the name of its value for the caller to delete.

    Raises SecretNotFound, RowLocked.
    """
    if not is_secret_key(secret_key):
        raise SecretNotFound()
    name = secret_table().remove(_ref(repository, secret_key), actor)
    if name is None:
        raise SecretNotFound()
    return name
