"""Create and delete repositories and manage members. Each change is an audit event."""

from contextlib import suppress

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit_app.actors import COMMAND_LINE, Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core.errors import BadRequest
from repositories_app.actions.secrets import MAX_ATTEMPTS, remove_secret, secret_keys
from repositories_app.authorization import AuthorizedRepository
from repositories_app.errors import SecretNotFound
from repositories_app.models import Membership, Repository
from repositories_app.names import REPOSITORY_RULE, is_repository_name

_MAX_USERNAME = 150


def get_or_create_user(username: str) -> User:
    """Return the user of that name, created without a password if new. Raises BadRequest."""
    if not 0 < len(username) <= _MAX_USERNAME or "\0" in username:
        raise BadRequest(f"A user's name has 1 to {_MAX_USERNAME} characters.")
    no_password = {"password": make_password(None)}
    return User.objects.get_or_create(username=username, defaults=no_password)[0]


def create_repository(name: str, owner: str, actor: Actor = COMMAND_LINE) -> Repository:
    """Create a repository with its first owner. Raises BadRequest."""
    if not is_repository_name(name):
        raise BadRequest(f"A repository's id is {REPOSITORY_RULE}.")
    with transaction.atomic():
        repository, made = Repository.objects.get_or_create(name=name)
        if not made:
            raise BadRequest(f"There is a repository {name} already.")
        record(AuditEvent.Kind.REPO_CREATED, actor, repository=name)
        set_member(name, owner, Membership.Role.OWNER, actor)
    return repository


def delete_repository(name: str, actor: Actor = COMMAND_LINE) -> int:
    """Delete a repository with its secrets and their values; return how many secrets were removed.

    Secrets go first, each as if a request had removed it, so that no value is left behind. Raises
    RowLocked, and BadRequest, also if secrets keep being set meanwhile; what is removed by then
    stays removed, and the next call goes on.
    """
    repository = get_repository(name)
    authorized, removed = AuthorizedRepository(repository.pk, name), 0
    for _ in range(MAX_ATTEMPTS):
        for secret_key in secret_keys(authorized):
            with suppress(SecretNotFound):  # removed concurrently
                remove_secret(authorized, secret_key, actor)
                removed += 1
        if _delete_empty(repository, actor):
            return removed
    raise BadRequest(f"Secrets of {name} are being set just now. Try again.")


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


def set_member(name: str, username: str, role: str, actor: Actor = COMMAND_LINE) -> Membership:
    """Give a user (created if new) a role in a repository. Raises BadRequest."""
    with transaction.atomic():
        membership, _ = Membership.objects.update_or_create(
            repository=get_repository(name),
            user=get_or_create_user(username),
            defaults={"role": role},
        )
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
