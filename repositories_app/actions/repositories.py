"""Create and delete repositories and manage members. Each change is an audit event."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit_app.actors import COMMAND_LINE, Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core.errors import BadRequest
from fugata_core.tokens import NAME_RULE, has_secret
from fugata_core.usernames import username_problem
from repositories_app.actions.secrets import MAX_ATTEMPTS, remove_row, secret_keys
from repositories_app.authorization import AuthorizedRepository
from repositories_app.errors import SecretNotFound
from repositories_app.models import Membership, Repository, RepositorySecret
from repositories_app.names import REPOSITORY_RULE, is_repository_name
from vault_app.values import Deletions

#: Each role allows what those before it do.
_RANKS = {role: rank for rank, role in enumerate(Membership.Role.values)}


@dataclass(frozen=True, slots=True)
class RemovedSecrets:
    """How many secrets were removed; `left`: how many of their values reconciliation will delete.

    As the store did not answer, or not quickly enough.
    """

    count: int
    left: int


def get_or_create_user(username: str) -> User:
    """Return the user of that name, created without a password if new. Raises BadRequest."""
    problem = username_problem(username)
    if problem and ("\0" in username or not User.objects.filter(username=username).exists()):
        raise BadRequest(problem)  # those that releases before made stay
    no_password = {"password": make_password(None)}
    return User.objects.get_or_create(username=username, defaults=no_password)[0]


def lock_active_user(username: str) -> User:
    """Return a user, who stays active until the transaction ends. Raises BadRequest."""
    user = User.objects.select_for_update(no_key=True).filter(username=username).first()
    if user is None:
        raise BadRequest(f"There is no user {username!r}.")
    if not user.is_active:
        raise BadRequest(
            f'The user {username} is not active, and gets nothing new. Tick "Active" on the page of'
            " the user in the console first."
        )
    return user


def create_repository(name: str, owner: str, actor: Actor = COMMAND_LINE) -> Repository:
    """Create a repository with its first owner. Raises BadRequest."""
    if not is_repository_name(name):
        raise BadRequest(f"A repository's id is {REPOSITORY_RULE}.")
    if has_secret(name):  # lists would show it, and it may open or permit something
        raise BadRequest(f"A repository's id {NAME_RULE}")
    with transaction.atomic():
        repository, made = Repository.objects.get_or_create(name=name)
        if not made:
            raise BadRequest(f"There is a repository {name} already.")
        record(AuditEvent.Kind.REPO_CREATED, actor, repository=name)
        set_member(name, owner, Membership.Role.OWNER, actor)
    return repository


def delete_repositories(names: Iterable[str], actor: Actor = COMMAND_LINE) -> RemovedSecrets:
    """Delete repositories with their secrets, and then the values of those.

    Secrets go first, each as if a request had removed it. Raises RowLocked, and BadRequest, also if
    secrets keep being set meanwhile; what is removed by then stays removed, and the next call goes
    on.
    """
    with Deletions(RepositorySecret.values_of) as values:
        for name in names:
            _delete_with_rows(get_repository(name), values, actor)
    return RemovedSecrets(len(values), values.left)


def _delete_with_rows(repository: Repository, values: Deletions, actor: Actor) -> None:
    authorized = AuthorizedRepository(repository.pk, repository.name)
    for _ in range(MAX_ATTEMPTS):
        for secret_key in secret_keys(authorized):
            with suppress(SecretNotFound):  # removed concurrently
                values.take(partial(remove_row, authorized, secret_key, actor))
        if _delete_empty(repository, actor):
            return
    raise BadRequest(f"Secrets of {repository.name} are being set just now. Try again.")


def remove_secrets(secrets: Iterable[RepositorySecret], actor: Actor) -> RemovedSecrets:
    """Remove secrets, and then their values. Raises RowLocked; the next call goes on."""
    with Deletions(RepositorySecret.values_of) as values:
        for secret in secrets:
            repository = AuthorizedRepository(secret.repository_id, secret.repository.name)
            with suppress(SecretNotFound):  # removed concurrently
                values.take(partial(remove_row, repository, secret.secret_key, actor))
    return RemovedSecrets(len(values), values.left)


def _delete_empty(repository: Repository, actor: Actor) -> bool:
    """Delete a repository that has no secrets left; return False if one was added."""
    try:
        with transaction.atomic():
            record(AuditEvent.Kind.REPO_DELETED, actor, repository=repository.name)
            # Memberships go with it; a token narrowed to it alone is useless from now on.
            Repository.objects.filter(pk=repository.pk).delete()
    except IntegrityError:  # ProtectedError is one too
        return False
    return True


def is_raised(before: str | None, role: str) -> bool:
    """Return whether `role` allows more than the role before it; None: there was none."""
    return _RANKS.get(before or "", -1) < _RANKS[role]


def set_member(name: str, username: str, role: str, actor: Actor = COMMAND_LINE) -> Membership:
    """Give a user (created if new) a role in a repository. Raises BadRequest.

    An inactive user gets no role in another repository, and no higher one; it may be lowered.
    """
    with transaction.atomic():
        place: dict[str, Any] = {
            "repository": get_repository(name),
            "user": get_or_create_user(username),
        }
        before = Membership.objects.filter(**place).values_list("role", flat=True).first()
        if is_raised(before, role):
            lock_active_user(username)
        membership, _ = Membership.objects.update_or_create(**place, defaults={"role": role})
        _record(AuditEvent.Kind.MEMBER_SET, actor, name, f"{username}: {role}")
    return membership


def remove_member(name: str, username: str, actor: Actor = COMMAND_LINE) -> None:
    """Remove a member of a repository. Raises BadRequest if there is none."""
    with transaction.atomic():
        members = Membership.objects.filter(
            repository=get_repository(name), user__username=username
        )
        if not members.delete()[0]:
            raise BadRequest(f"{username} is no member of {name}.")
        _record(AuditEvent.Kind.MEMBER_REMOVED, actor, name, username)


def _record(kind: AuditEvent.Kind, actor: Actor, repository: str, subject: str) -> None:
    record(kind, actor, repository=repository, subject=subject)


def get_repository(name: str) -> Repository:
    """Return the repository with that id. Raises BadRequest."""
    repository = Repository.objects.filter(name=name).first() if is_repository_name(name) else None
    if repository is None:
        raise BadRequest(f"There is no repository {name!r}.")
    return repository
